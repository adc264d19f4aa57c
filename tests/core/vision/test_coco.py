"""COCO's results: what is written is read again, and what is malformed is named."""

import contextlib
import io
import json
from unicodedata import normalize

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

import gvt
from gvt.vision.coco import Results, decoded, encoded, encoded_part, hull, results_of

CLASSES = ("RBC", "WBC", "Platelets")


def prediction(count, size, seed=0, masks=True):
    source = gvt.random_source(seed, "coco")
    height, width = size
    corners = torch.rand(count, 2, 2, generator=source).sort(dim=1).values
    boxes = (corners * torch.tensor([width, height])).flatten(1)
    found = {
        "boxes": boxes,
        "labels": torch.randint(3, (count,), generator=source),
        "scores": torch.rand(count, generator=source).sort(descending=True).values,
    }
    if masks:
        found["masks"] = torch.rand(count, *size, generator=source) > 0.5
    return found


def written(path, entries):
    path.write_text(json.dumps(entries))
    return path


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert (value.dtype, value.shape) == (other[key].dtype, other[key].shape)
        assert torch.equal(value, other[key])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 5), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_what_is_written_is_read_exactly(tmp_path_factory, count, height, width, seed, masks):
    said = prediction(count, (height, width), seed, masks)
    entries = results_of(said, 7, "some/a.png", CLASSES, (5, 3, 9))
    path = written(tmp_path_factory.mktemp("results") / "predictions.json", entries)
    results = Results.read(path, CLASSES, (5, 3, 9))
    found = results.of(gvt.Record("root/some/a.png", (height, width)))
    if masks and not count:
        del said["masks"]  # a file without objects says nothing of masks
    same(found, said)
    assert results.unused() == []


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_run_lengths_are_pycocotools_own(count, height, width, seed):
    masks = torch.rand(count, height, width, generator=gvt.random_source(seed, "masks")) > 0.4
    found = encoded(masks)
    for mask, entry in zip(masks, found, strict=True):
        assert isinstance(entry["counts"], str)
        assert entry == json.loads(json.dumps(entry))
        assert np.array_equal(coco_mask.decode(entry), mask.numpy())
        assert np.array_equal(decoded(entry, height, width), mask.numpy())
        runs = np.diff(np.flatnonzero(np.diff(mask.numpy().T.ravel(), prepend=not mask[0, 0])))
        counts = [*([0] if mask[0, 0] else []), *runs.tolist()]
        counts.append(height * width - sum(counts))
        plain = {"size": [height, width], "counts": counts}
        assert np.array_equal(decoded(plain, height, width), mask.numpy())


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(0, 4)] * 4), st.integers(0, 6), st.integers(0, 6), st.integers(0, 99)
)
def test_a_mask_of_a_part_is_encoded_as_in_the_whole(around, height, width, seed):
    top, left, below, right = around
    size = (top + height + below + 1, left + width + right + 1)
    part = torch.rand(height, width, generator=gvt.random_source(seed, "part")) > 0.4
    whole = torch.zeros(1, *size, dtype=torch.bool)
    whole[0, top : top + height, left : left + width] = part
    assert encoded_part(part, top, left, size) == encoded(whole)[0]
    full = torch.ones(2, 3, dtype=torch.bool)
    assert encoded_part(full, 0, 0, (2, 3)) == encoded(full[None])[0]


def test_a_part_of_a_huge_picture_needs_no_memory_for_all_of_it():
    found = encoded_part(torch.ones(3, 2), 29_000, 31_000, (32_000, 33_000))
    assert coco_mask.area(found) == 6
    assert coco_mask.toBbox(found).tolist() == [31_000, 29_000, 2, 3]


def test_polygons_are_their_union():
    square, corner = [1, 1, 4, 1, 4, 4, 1, 4], [0.0, 0.0, 2.0, 0.0, 0.0, 2.0]
    both = decoded([square, corner], 6, 5)
    assert (both.dtype, both.shape) == (np.uint8, (6, 5))
    assert np.array_equal(both, decoded([square], 6, 5) | decoded([corner], 6, 5))
    assert decoded([square], 6, 5)[1:4, 1:4].all()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [2, 3], "counts": [6]}, r"its size is \[2, 3\], and the image's \[3, 2\]"),
        ({"counts": [6]}, "its size is None"),
        ({"size": [3, 2], "counts": [5]}, "its counts do not make 3 x 2 pixels"),
        ({"size": [3, 2], "counts": [7]}, "its counts do not make 3 x 2 pixels"),
        ({"size": [3, 2], "counts": [-1, 7]}, "its counts do not make"),
        ({"size": [3, 2], "counts": [1.5, 4.5]}, "its counts are not all whole numbers"),
        ({"size": [3, 2], "counts": "5"}, "its counts do not make"),
        ({"size": [3, 2], "counts": ""}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "o"}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "6 "}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "ooooooooo0"}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "é"}, "its counts"),
        ({"size": [3, 2]}, "it has neither counts nor polygons"),
        ([], "it has no polygon"),
        ("56", "it is neither run lengths nor a list of polygons"),
        ([[0, 0, 1, 1]], "a polygon is a list of x and y by turns, of three points"),
        ([[0, 0, 1, 1, 0, float("nan")]], "a polygon goes through nan, which is no place"),
        ([[0, 0, 1, 1, 0, 1e12]], r"a polygon goes through 1000000000000\.0"),
        ([0, 0, 1, 1, 0, 1], "a polygon is a list"),
        ([[0, 0, 1, 1, 0, 1e4]], "its outline of 20000 pixels is too long for a picture of 3 x 2"),
        ([[-1e6, -1e6, 1e6, 1e6, -1e6, 1e6] * 9], "its outline of .* is too long"),
        ({"size": ["\n" * 99], "counts": [6]}, r"its size is \['[^\n]{58}\.\.\., and the image's"),
    ],
)
def test_a_malformed_mask_is_named(segmentation, message):
    with pytest.raises(ValueError, match=message):
        decoded(segmentation, 3, 2)


def test_pycocotools_takes_the_file_and_finds_the_truth_again(tmp_path):
    images, annotations, results = [], [], []
    for number in (4, 9):
        said = prediction(6, (30, 40), number)
        entries = results_of(said, number, f"{number}.png", CLASSES)
        images.append({"id": number, "file_name": f"{number}.png", "height": 30, "width": 40})
        annotations += [
            {**entry, "id": len(annotations) + n, "iscrowd": 0, "area": 1.0}
            for n, entry in enumerate(entries, 1)
        ]
        results += entries
    path = written(tmp_path / "predictions.json", results)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [
            {"id": n, "name": name} for n, name in enumerate(CLASSES, 1)]}  # fmt: skip
        truth.createIndex()
        loaded = truth.loadRes(str(path))
    assert len(loaded.anns) == 12
    for entry, annotation in zip(results, loaded.anns.values(), strict=True):
        assert np.array_equal(loaded.annToMask(annotation), decoded(entry["segmentation"], 30, 40))
        assert annotation["category_name"] == entry["category_name"]


ENTRY = {"file_name": "a.png", "category_name": "WBC", "bbox": [1, 2, 3, 4], "score": 0.5}


def without(key, **more):
    return {**{k: v for k, v in ENTRY.items() if k != key}, **more}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is no JSON: EOF"),
        ("{}", "is no list of COCO's results"),
        ("[3]", "entry 1: "),
        ([ENTRY, without("score")], "entry 2: score: Field required"),
        ([without("score", score="high")], "entry 1: score: Input should be a valid number"),
        ('[{"score": NaN, "file_name": "a"}]', "entry 1: score: Input should be a finite number"),
        ([without("bbox")], "entry 1: it has neither bbox nor segmentation"),
        ([without("bbox", bbox=[1, 2, 3])], "entry 1: bbox: List should have at least 4 items"),
        ([without("bbox", bbox=[1, 2, 3, "x"])], r"entry 1: bbox\.3: Input should be a valid"),
        ([without("bbox", bbox=[1, 2, -3, 4])], "a negative width or height"),
        ([without("category_name")], "entry 1: category_id None is none of 1, 2, 3"),
        ([without("category_name", category_id=4)], "category_id 4 is none of 1, 2, 3"),
        ([without("category_name", category_name="x\n")], r"category_name x\\n is none of RBC,"),
        ([without("file_name")], "entry 1: it names no image: give file_name, or a number"),
        ([without("file_name", image_id="a")], "entry 1: it names no image"),
        ([without("bbox", bbox=[-1e39, 10, 0, 30])], "is no place in a picture"),
        ([without("bbox", bbox=[0, 0, 1, 1.1e6])], "is no place in a picture"),
        ([without("bbox", segmentation=[])], "entry 1: it has neither bbox nor segmentation"),
        ([ENTRY, {**ENTRY, "segmentation": [[1, 1, 4, 1, 4, 4]]}],
         "entry 1: it has no segmentation, and others do"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_one_line_that_says_where(tmp_path, content, message):
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(gvt.DataError, match=f"results.json: .*{message}") as error:
        Results.read(path, CLASSES)
    assert "\n" not in str(error.value)


def test_a_malformed_mask_is_named_by_its_entry(tmp_path):
    entries = [{**ENTRY, "segmentation": {"size": [9, 9], "counts": [81]}}]
    results = Results.read(written(tmp_path / "r.json", entries), CLASSES)
    with pytest.raises(
        gvt.DataError, match=r"r\.json: entry 1: segmentation: its size is \[9, 9\]"
    ):
        results.of(gvt.Record("a.png", (8, 9)))


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(gvt.DataError, match=r"none\.json: cannot be read: No such file"):
        Results.read(tmp_path / "none.json", CLASSES)


def test_images_are_known_by_the_end_of_their_path_or_by_number(tmp_path):
    names = ("a.png", "x/a.png", "y\\b.png", "gone.png")
    entries = [{**ENTRY, "file_name": name, "score": n / 10} for n, name in enumerate(names)]
    entries += [without("file_name", image_id=5), without("file_name", image_id=6)]
    results = Results.read(written(tmp_path / "r.json", entries), CLASSES)
    for source, number, score in (
        ("/data/x/a.png", None, 0.1), ("/data/a.png", None, 0.0), ("y/b.png", None, 0.2),
        ("z.png", 5, 0.5), ("/data/x/a.png", None, 0.1),
    ):  # fmt: skip
        found = results.of(gvt.Record(source, (9, 9), id=number))
        assert found["scores"].tolist() == pytest.approx([score])
        assert found["boxes"].tolist() == [[1, 2, 4, 6]]
        assert found["labels"].tolist() == [1]
    nothing = results.of(gvt.Record("other.png", (9, 9)))
    assert [tuple(value.shape) for value in nothing.values()] == [(0, 4), (0,), (0,)]
    assert results.unused() == ["gone.png", "image 6"]


def test_names_are_the_same_whether_their_letters_are_composed(tmp_path):
    composed, decomposed = "\xe9", "e\u0301"
    entries = [
        {**ENTRY, "file_name": f"{decomposed}1.png", "category_name": composed, "score": 0.1},
        {**ENTRY, "file_name": f"x\\{composed}2.png", "category_name": decomposed, "score": 0.2},
    ]
    for name in (composed, decomposed):
        results = Results.read(written(tmp_path / "r.json", entries), ("RBC", name))
        for source, score in ((f"/x/{composed}1.png", 0.1), (f"/x/{decomposed}2.png", 0.2)):
            found = results.of(gvt.Record(source, (9, 9)))
            assert found["scores"].tolist() == pytest.approx([score])
            assert found["labels"].tolist() == [1]
        assert results.unused() == []


@given(st.integers(0, 8), st.integers(0, 6), st.integers(1, 9), st.integers(1, 7))
def test_the_box_around_a_mask_is_that_of_its_pixels_or_corners(left, top, across, down):
    right, bottom = min(9, left + across), min(7, top + down)
    mask = torch.zeros(1, 7, 9)
    mask[0, top:bottom, left:right] = 1
    corners = [left, top, right, top, right, bottom, left, bottom]
    for outline in (encoded(mask)[0], [corners], [corners, [*corners[2:], *corners[:2]]]):
        assert hull(outline) == (left, top, right, bottom)


@pytest.mark.parametrize(
    "outline",
    [
        *(None, 3, "m", [], [[1, 2]], [["a"] * 6], {}, {"size": [3], "counts": [3]}),
        *({"size": [3, 3], "counts": [9]}, {"size": [3, 3], "counts": [1, 1]}),
        *({"size": ["3", 3], "counts": [1, 8]}, {"size": [1e9, 1e9], "counts": [0, 10**18]}),
        *({"size": [0, 0], "counts": []}, {"size": [-3, -3], "counts": [0, 9]}),
    ],
)
def test_what_is_no_outline_has_no_box_around_it(outline):
    with pytest.raises(ValueError, match=r"its|it |polygon"):
        hull(outline)


def test_a_name_that_two_images_may_have_is_an_error(tmp_path):
    results = Results.read(written(tmp_path / "r.json", [ENTRY]), CLASSES)
    results.of(gvt.Record("x/a.png", (9, 9)))
    with pytest.raises(gvt.DataError, match=r"a\.png may be x/a\.png or y/a\.png; name it with"):
        results.of(gvt.Record("y/a.png", (9, 9)))


def test_a_box_that_is_not_given_is_that_of_the_mask(tmp_path):
    mask = torch.zeros(1, 9, 8)
    mask[0, 2:5, 3:7] = 1
    entries = [without("bbox", segmentation=encoded(mask)[0])]
    results = Results.read(written(tmp_path / "r.json", entries), CLASSES)
    found = results.of(gvt.Record("a.png", (9, 8)))
    assert found["boxes"].tolist() == [[3, 2, 7, 5]]
    assert torch.equal(found["masks"], mask.bool())


def test_entries_of_one_image_are_sorted_by_their_scores(tmp_path):
    entries = [{**ENTRY, "score": score} for score in (0.2, 0.9, 0.5)]
    results = Results.read(written(tmp_path / "r.json", entries), CLASSES)
    found = results.of(gvt.Record("a.png", (9, 8)))
    assert found["scores"].tolist() == pytest.approx([0.9, 0.5, 0.2])


def test_what_is_no_number_is_not_written():
    said = prediction(2, (9, 9), masks=False)
    said["scores"][1] = float("nan")
    with pytest.raises(ValueError, match=r"a\.png: a predicted box or score is not a number"):
        results_of(said, 1, "a.png", CLASSES)


def test_an_empty_segmentation_beside_a_box_is_none(tmp_path):
    entries = [{**ENTRY, "segmentation": []}, ENTRY]
    found = Results.read(written(tmp_path / "r.json", entries), CLASSES).of(
        gvt.Record("a.png", (9, 8))
    )
    assert found["boxes"].tolist() == [[1, 2, 4, 6]] * 2
    assert "masks" not in found


def test_masks_that_nobody_wants_are_not_read(tmp_path):
    damaged = {**ENTRY, "segmentation": {"size": [9, 8], "counts": "nonsense"}}
    square = without("bbox", segmentation=[[3, 2, 7, 2, 7, 5, 3, 5]])
    path = written(tmp_path / "r.json", [damaged, ENTRY, square])
    found = Results.read(path, CLASSES, masks=False).of(gvt.Record("a.png", (9, 8)))
    assert found.keys() == {"boxes", "labels", "scores"}
    assert found["boxes"].tolist() == [[1, 2, 4, 6], [1, 2, 4, 6], [3, 2, 7, 5]]


def test_of_each_class_as_many_masks_are_read_as_cocos_figures_ask_for(tmp_path):
    square = [[3, 2, 7, 2, 7, 5]]
    scores = [n / 200 for n in range(130)]
    entries = [{**ENTRY, "segmentation": square, "score": score} for score in scores]
    entries.append({**ENTRY, "segmentation": square, "score": 0, "category_name": "RBC"})
    path = written(tmp_path / "r.json", entries)
    found = Results.read(path, CLASSES).of(gvt.Record("a.png", (9, 8)))
    assert found["scores"].tolist() == pytest.approx([*scores[:29:-1], 0])
    assert found["labels"].tolist() == [1] * 100 + [0]
    assert found["masks"].shape == (101, 9, 8)
    boxes = Results.read(path, CLASSES, masks=False).of(gvt.Record("a.png", (9, 8)))
    assert len(boxes["scores"]) == 131


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_the_same_however_letters_are_composed(forms, tmp_path):
    own, written_as = ([normalize(form, name) for name in ("Größe", "é.png")] for form in forms)
    entry = {**ENTRY, "category_name": written_as[0], "file_name": f"sub/{written_as[1]}"}
    results = Results.read(written(tmp_path / "r.json", [entry]), ("other", own[0]))
    found = results.of(gvt.Record(f"sub/{own[1]}", (9, 8)))
    assert found["labels"].tolist() == [1]
    assert results.unused() == []
