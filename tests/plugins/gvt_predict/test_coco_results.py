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
from pycocotools.coco import COCO

import gvt
from gvt.vision.coco import decoded, encoded
from gvt_predict.coco_results import Results, results_of

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
        ("[", "is not JSON: EOF"),
        ("{}", "is not a list of COCO results"),
        ("[3]", "entry 1: "),
        ([ENTRY, without("score")], "entry 2: score: Field required"),
        ([without("score", score="high")], "entry 1: score: Input should be a valid number"),
        ('[{"score": NaN, "file_name": "a"}]', "entry 1: score: Input should be a finite number"),
        ([without("bbox")], "entry 1: has neither bbox nor segmentation"),
        ([without("bbox", bbox=[1, 2, 3])], "entry 1: bbox: List should have at least 4 items"),
        ([without("bbox", bbox=[1, 2, 3, "x"])], r"entry 1: bbox\.3: Input should be a valid"),
        ([without("bbox", bbox=[1, 2, -3, 4])], "negative width or height"),
        ([without("category_name")], "entry 1: category_id None is not one of 1, 2, 3"),
        ([without("category_name", category_id=4)], "category_id 4 is not one of 1, 2, 3"),
        ([without("category_name", category_name="x\n")], r"category_name x\\n is not one of RBC,"),
        ([without("file_name")], "entry 1: names no image; give file_name, or a number"),
        ([without("file_name", image_id="a")], "entry 1: names no image"),
        ([without("bbox", bbox=[-1e39, 10, 0, 30])], "coordinates out of range"),
        ([without("bbox", bbox=[0, 0, 1, 1.1e6])], "coordinates out of range"),
        ([without("bbox", segmentation=[])], "entry 1: has neither bbox nor segmentation"),
        ([ENTRY, {**ENTRY, "segmentation": [[1, 1, 4, 1, 4, 4]]}],
         "entry 1: has no segmentation, but other entries do"),
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


def test_a_name_that_two_images_may_have_is_an_error(tmp_path):
    results = Results.read(written(tmp_path / "r.json", [ENTRY]), CLASSES)
    results.of(gvt.Record("x/a.png", (9, 9)))
    with pytest.raises(gvt.DataError, match=r"a\.png may be x/a\.png or y/a\.png; name it with"):
        results.of(gvt.Record("y/a.png", (9, 9)))


def test_a_box_that_is_not_given_is_that_of_the_mask(tmp_path):
    mask = torch.zeros(1, 9, 8)
    mask[0, 2:5, 3:7] = 1
    entries = [without("bbox", segmentation=encoded(mask[0]))]
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
    with pytest.raises(ValueError, match=r"a\.png: a predicted box or score is not finite"):
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
