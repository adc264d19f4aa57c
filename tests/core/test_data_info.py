"""What a run knows of its data, and goes on with."""

from dataclasses import replace

import pytest
import torch

import gvt
from gvt.data_info import DataInfo

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
        ({"fingerprint": "cd"}, "its files have other names or another order"),
    ],
)
def test_a_run_goes_on_with_the_data_that_it_began_with(change, said):
    BEFORE.check_same(BEFORE)
    with pytest.raises(gvt.ConfigError, match=f"data: is no longer what .*{said}.* new run with"):
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
    config = gvt.compose("classify.folder", ("data.root=.",))
    with pytest.raises(gvt.DataError, match=r"class 'd\\udcffg' is no valid text"):
        DataInfo.of(Oddly(), config.data.range)


class Labelled(Oddly):
    """Five samples whose classes are known without reading them."""

    classes = ("cat", "dog", "eel")
    labels = (0, 2, 0, 0, 2)


def test_the_samples_of_each_class_are_counted_where_the_data_says_them():
    config = gvt.compose("classify.folder", ("data.root=.",))
    assert DataInfo.of(Labelled(), config.data.range).injected["class_counts"] == (3, 0, 2)
    Labelled.labels = torch.tensor([1, 1])
    assert DataInfo.of(Labelled(), config.data.range).class_counts == (0, 2, 0)
    Labelled.labels = None
    assert DataInfo.of(Labelled(), config.data.range).class_counts is None


@pytest.mark.parametrize("labels", [[0, -1], [0, 2]])
def test_labels_that_are_no_classes_are_one_line(labels):
    data = gvt.create("dataset", "scenes", split="test", held_out=2, size=64)
    data.labels, data.classes = labels, ("cat", "dog")
    config = gvt.compose("classify.mnist")
    with pytest.raises(gvt.DataError, match=f"labels run from {min(labels)} to {max(labels)}, and"):
        DataInfo.of(data, config.data.range)


@pytest.mark.parametrize(
    "reader", [{"channels": 3, "new": 1}, {"filter": "no"}, {"fit": "bogus"}, {"size": 8}]
)
def test_a_reader_that_is_not_known_is_one_line(reader):
    with pytest.raises(gvt.CheckpointError, match="how its pictures were read is not known: "):
        gvt.PictureReader.from_document(reader)


class Counted(Oddly):
    classes = ("cat", "dog", "eel")
    labels = (0, 2, 0, 0, 2)


def test_classes_without_a_sample_are_known_by_labels_by_objects_and_of_parts():
    class Boxes(Oddly):
        classes = ("cell", "dot")
        object_counts = (0, 7)

    class Mixed:
        classes = ("cat", "dog", "eel", "cell", "dot")
        parts = {"pictures": Counted(), "boxes": Boxes(), "unlabelled": Oddly()}  # noqa: RUF012

    assert classes_without_samples(Counted()) == {"": ["dog"]}
    assert classes_without_samples(Boxes()) == {"": ["cell"]}
    assert classes_without_samples(Oddly()) == {}
    assert classes_without_samples(Mixed()) == {"pictures": ["dog"], "boxes": ["cell"]}


def test_a_run_warns_once_of_classes_without_a_training_image():
    from gvt.session.lessons import warn_of_absent_classes

    class Many(Oddly):
        classes = tuple(f"class {n}\x1b" for n in range(14))
        labels = (0, 0)

    with pytest.warns(UserWarning) as caught:
        warn_of_absent_classes(Many())
    (line,) = (str(warning.message) for warning in caught)
    assert line.startswith(r"data: 13 classes have no training image: class 1\x1b, class 2\x1b")
    assert line.endswith("and 3 more")
    with pytest.warns(UserWarning, match="data: 1 class has no training image: dog$"):
        warn_of_absent_classes(Counted())
