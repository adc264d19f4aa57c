"""What a data set says of itself, and a run is resumed with."""

import json
import warnings
from dataclasses import replace

import pytest
import torch

import gvt
from gvt.data_info import DataInfo
from gvt.session.lessons import warn_of_absent_classes

BEFORE = DataInfo(("cat", "dog"), (1, 8, 8), (0.0, 1.0), samples=1200, fingerprint="ab")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ("cat", "wolf")}, "its classes are without dog and with wolf"),
        ({"classes": ("cat", "dog", "eel")}, "its classes are with eel;"),
        ({"classes": ("dog", "cat")}, "its classes are in another order"),
        ({"image_shape": (1, 9, 8)}, r"its image shape is \(1, 9, 8\), and it was \(1, 8, 8\)"),
        ({"image_shape": None}, r"its image shape is None, and it was \(1, 8, 8\)"),
        ({"samples": 1201}, "1,201 samples, and it was 1,200"),
        ({"fingerprint": "cd"}, "its files or samples are other ones, or in another order"),
    ],
)
def test_a_run_goes_on_with_the_data_that_it_began_with(change, said):
    BEFORE.check_same(BEFORE)
    with pytest.raises(gvt.ConfigError, match=f"data: differs from what .*{said}.* new run with"):
        replace(BEFORE, **change).check_same(BEFORE)


def test_what_a_checkpoint_does_not_say_is_not_compared():
    document = BEFORE.document()
    del document["samples"], document["fingerprint"]
    BEFORE.check_same(DataInfo.from_document(document))


class Oddly:
    """Opened with a class that a file system may name, and that is no text."""

    classes = ("cat", "d\udcffg")
    image_shape = None

    def __len__(self):
        return 2


def test_a_class_that_is_no_text_is_named_before_anything_is_built():
    with pytest.raises(gvt.DataError, match=r"class 'd\\udcffg' is not valid UTF-8; rename it"):
        DataInfo.of(Oddly())


class Labelled(Oddly):
    """Five samples whose classes are known without reading them."""

    classes = ("cat", "dog", "eel")
    labels = (0, 2, 0, 0, 2)


def test_the_samples_of_each_class_are_counted_where_the_data_says_them():
    assert DataInfo.of(Labelled()).injected["class_counts"] == (3, 0, 2)
    Labelled.labels = torch.tensor([1, 1])
    assert DataInfo.of(Labelled()).class_counts == (0, 2, 0)
    Labelled.labels = None
    assert DataInfo.of(Labelled()).class_counts is None


@pytest.mark.parametrize("labels", [[0, -1], [0, 2]])
def test_labels_that_are_no_classes_are_one_line(labels):
    with pytest.raises(gvt.DataError, match=f"labels run from {min(labels)} to {max(labels)}, and"):
        DataInfo(("cat", "dog"), (1, 8, 8), labels=torch.tensor(labels))


@pytest.mark.parametrize(
    "reader", [{"channels": 3, "new": 1}, {"filter": "no"}, {"fit": "bogus"}, {"size": 8}]
)
def test_a_reader_that_is_not_known_is_one_line(reader):
    with pytest.raises(gvt.CheckpointError, match="how its pictures were read is not known: "):
        gvt.PictureReader.from_document(reader)


class Counted(Oddly):
    classes = ("cat", "dog", "eel")
    labels = (0, 2, 0, 0, 2)


class Boxes(Oddly):
    classes = ("cell", "dot")
    object_counts = (0, 7)


class Unlabelled(Oddly):
    classes = ("cat",)


class Mixed(Oddly):
    classes = ("cat", "dog", "eel", "cell", "dot")
    parts = {"pictures": Counted(), "boxes": Boxes(), "unlabelled": Unlabelled()}  # noqa: RUF012


@pytest.mark.parametrize(
    ("dataset", "absent"),
    [
        (Counted(), ["data: 1 class has no training sample: dog"]),
        (Boxes(), ["data: 1 class has no training sample: cell"]),
        (Unlabelled(), []),
        (
            Mixed(),
            [
                "data: 1 class has no training sample of part pictures: dog",
                "data: 1 class has no training sample of part boxes: cell",
            ],
        ),
    ],
)
def test_classes_without_a_sample_are_known_by_labels_by_objects_and_of_parts(dataset, absent):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_absent_classes(DataInfo.of(dataset))
    assert [str(warning.message) for warning in caught] == absent


def test_a_warning_of_many_classes_names_the_first():
    class Many(Oddly):
        classes = tuple(f"class {n}\x1b" for n in range(14))
        labels = (0, 0)

    with pytest.warns(UserWarning) as caught:
        warn_of_absent_classes(DataInfo.of(Many()))
    (line,) = (str(warning.message) for warning in caught)
    assert line.startswith(r"data: 13 classes have no training sample: class 1\x1b, class 2\x1b")
    assert line.endswith("and 3 more")


def test_plain_attributes_and_info_say_the_same():
    class Plain(Unlabelled):
        """As somebody's who has never heard of `gvt.DataInfo`."""

        image_shape = torch.Size((3, 8, 8))
        background = 1
        labels = [0, 0]  # noqa: RUF012
        reader = gvt.PictureReader(3, (8, 8))
        category_ids = [7]  # noqa: RUF012
        hint = None
        info = "about it"
        samples = [("a.png", 0)]  # noqa: RUF012

    class Informed(Oddly):
        info = DataInfo(
            ("cat",),
            (3, 8, 8),
            background=True,
            labels=torch.tensor([0, 0]),
            reader=gvt.PictureReader(3, (8, 8)).document(),
            category_ids=(7,),
        )

    plain, informed = DataInfo.of(Plain(), (0.0, 1.0)), DataInfo.of(Informed(), (0.0, 1.0))
    assert plain == informed
    assert json.dumps(plain.document()) == json.dumps(informed.document())
    assert (plain.samples, plain.data_range, plain.class_counts) == (2, (0.0, 1.0), (2,))
    assert plain.labels.tolist() == informed.labels.tolist() == [0, 0]
    assert plain.hint == informed.hint == ""


def test_what_is_not_saved_is_not_in_a_document_nor_read_from_one():
    info = DataInfo(("cat",), None, labels=torch.tensor([0]), hint="more", lacks={"boxes": "none"})
    document = info.document()
    assert not {"labels", "hint", "lacks", "weights"} & document.keys()
    again = DataInfo.from_document({**document, "hint": "forged", "of_later": 1})
    assert again == info
    assert again.hint == ""


def test_a_data_set_that_says_too_little_is_one_line():
    class Mute:
        image_shape = None

        def __len__(self):
            return 1

    with pytest.raises(gvt.DataError, match=r"^data: Mute lacks classes; see gvt\.DataInfo$"):
        DataInfo.of(Mute())


@pytest.mark.parametrize("ids", [(7, 7), (7,), (7, 8, 9)])
def test_categories_have_a_number_each(ids):
    with pytest.raises(gvt.DataError, match=f"category_ids has {len({*ids})} different numbers"):
        DataInfo(("cat", "dog"), None, category_ids=ids)


def test_of_parts_a_run_is_resumed_with_the_same_ones():
    part = DataInfo(("cat", "dog"), (3, 8, 8), samples=5)
    before = replace(BEFORE, parts={"a": part, "b": part})
    older = replace(BEFORE, parts={name: DataInfo(part.classes, None) for name in "ab"})
    before.check_same(older)  # a checkpoint of an earlier version says less of its parts
    for change, said in (
        ({"a": part}, r"its parts is \['a'\], and it was \['a', 'b'\]"),
        ({"a": part, "b": replace(part, classes=("cat",))}, "its classes are without dog"),
    ):
        with pytest.raises(gvt.ConfigError, match=said):
            replace(BEFORE, parts=change).check_same(before)
