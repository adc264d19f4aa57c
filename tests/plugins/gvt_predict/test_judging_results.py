"""Predictions from a file, scored as our own are."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import gvt
from gvt.geometry import to_original
from gvt.session.build import open_dataset
from gvt_predict.coco_results import Results, results_of
from gvt_predict.judging_results import judge_predictions

pytestmark = pytest.mark.usefixtures("drawn")

SQUARES = Path(__file__).parent / "squares.py"
RECIPES = ("squares.boxes", "squares.masks", "squares.several")


@pytest.fixture(scope="module", autouse=True)
def squares(load_plugin):
    """Offer the plugin, for this module."""
    load_plugin(SQUARES)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {name: gvt.run(name, f"run.root={root}", quiet=True) for name in RECIPES}


def entries_of(run, split="test", head="squares"):
    """Return what a run's networks say of a split, as entries of a file of results."""
    dataset = open_dataset(run.config, split)
    found = []
    for index in range(len(dataset)):
        sample = dataset[index]
        frame = gvt.Frame((tuple(sample.image.shape[-2:]),), tuple(sample.image.shape[-2:]))
        batch = gvt.Batch({"image": sample.image[None]}, frame, records=[sample.record])
        with torch.no_grad():
            (prediction,) = to_original(run.task.eval().predict(batch), [sample.record])
        record, said = sample.record, prediction[head]
        found += results_of(said, record.id, record.source, dataset.classes)
    return found


def written(entries, folder):
    path = folder / "predictions.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def own(found):
    return {n: v for n, v in found.metrics.items() if not n.startswith("loss/")}


def scored(path, of, *words, **options):
    """Score a file of which some images have no entry, as there is one with nothing on it."""
    with pytest.warns(UserWarning, match="have no entry and count"):
        return gvt.evaluate_predictions(path, of, *words, **options)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_runs_own_predictions_get_its_own_figures(recipe, runs, tmp_path):
    run = runs[recipe]
    evaluated = gvt.evaluate_checkpoint(run.folder, split="test")
    path = written(entries_of(run), tmp_path)
    for of in (run.folder, run.checkpoint, recipe):
        found = scored(path, of, split="test")
        expected = {n: v for n, v in own(evaluated).items() if not n.startswith("name/")}
        assert found.metrics == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert found.classes == ("red", "green", "blue")
    prefix = "squares/" if recipe == "squares.several" else ""
    assert 0.1 < found.metrics[f"{prefix}overlap"] < 0.9
    curves, before = (e.curves[f"{prefix}sure"] for e in (found, evaluated))
    assert torch.equal(curves.y.nan_to_num(-1), before.y.nan_to_num(-1))
    worst, own_worst = (e.mistakes[f"{prefix}mistakes"] for e in (found, evaluated))
    assert [(m.source, m.error) for m in worst] == [(m.source, m.error) for m in own_worst]
    for mistake, other in zip(worst, own_worst, strict=True):
        said, before = mistake.prediction, other.prediction
        assert torch.allclose(said["boxes"], before["boxes"], atol=1e-4)
        assert torch.equal(mistake.inputs["image"], other.inputs["image"])
        assert all(torch.equal(said[k], before[k]) for k in said.keys() & {"labels", "masks"})


def test_a_runs_own_evaluation_stays(runs, tmp_path):
    run = runs["squares.boxes"]
    gvt.evaluate_checkpoint(run.folder, split="test")
    before = {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    path = written(entries_of(run), tmp_path)
    scored(path, run.folder)
    found = scored(path, run.folder, out=tmp_path / "out")
    assert {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()} == before
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "test.json",
        "test_mistakes.png",
        "test_sure.png",
    }
    said = json.loads((tmp_path / "out" / "test.json").read_text())
    assert said["metrics"]["overlap"] == found.metrics["overlap"]
    assert (said["predictions"], said["images"], said["split"]) == (str(path), 7, "test")
    assert "step" not in said


def test_boxes_by_numbers_of_images_and_classes(runs, tmp_path):
    entries = entries_of(runs["squares.boxes"])
    expected = scored(written(entries, tmp_path), "squares.boxes").metrics
    keys = ("image_id", "category_id", "bbox", "score")
    plain = [{key: entry[key] for key in keys} for entry in entries]
    same = pytest.approx(expected, abs=0, nan_ok=True)
    assert scored(written(plain, tmp_path), "squares.boxes").metrics == same
    numbers = {1: 7, 2: 90, 3: 4}
    others = [entry | {"category_id": numbers[entry["category_id"]]} for entry in plain]
    found = scored(written(others, tmp_path), "squares.boxes", "data.numbers=[7, 90, 4]")
    assert found.metrics == same


def test_boxes_alone_are_scored_where_masks_are_learned(runs, tmp_path):
    entries = entries_of(runs["squares.masks"])
    for entry in entries:
        del entry["segmentation"]
    found = scored(written(entries, tmp_path), runs["squares.masks"].folder)
    whole = gvt.evaluate_checkpoint(runs["squares.masks"].folder).metrics
    assert found.metrics["overlap"] == pytest.approx(whole["overlap"], abs=1e-6)
    assert not any(name.startswith("mask_") for name in found.metrics)
    assert "mask_overlap" in whole


def test_a_recipe_in_a_file_needs_no_run(runs, tmp_path):
    from gvt.config import text

    config = shutil.copy(runs["squares.boxes"].folder / "config.yaml", tmp_path / "mine.yaml")
    assert "heads" in text.parse_yaml(Path(config).read_text(), str(config))
    path = written(entries_of(runs["squares.boxes"], "val"), tmp_path)
    found = scored(path, config, split="val")
    assert found.metrics["overlap"] == scored(path, "squares.boxes", split="val").metrics["overlap"]


def test_what_does_not_meet_is_told(runs, tmp_path):
    entries = entries_of(runs["squares.boxes"])
    stranger = entries[0] | {"file_name": "elsewhere/9.png", "image_id": 99}
    first = [e for e in entries if e["file_name"].endswith("/0.png")]
    assert first
    path = written([*first, stranger], tmp_path)
    with pytest.warns(UserWarning) as caught:
        judged = judge_predictions(path, "squares.boxes")
    assert [str(w.message) for w in caught] == [
        f"{path}: 1 of its images are not in split 'test' and are ignored: elsewhere/9.png",
        f"{path}: 6 of the 7 images of split 'test' have no entry and count as having no "
        "detections: squares/test/1.png, squares/test/2.png, squares/test/3.png, "
        "squares/test/4.png, squares/test/5.png and 1 more",
    ]
    assert judged.about["images_without_detections"] == 6
    assert judged.about["images_not_in_the_split"] == 1
    assert (
        judged.evaluation.metrics["overlap"]
        < scored(written(entries, tmp_path), "squares.boxes").metrics["overlap"]
    )


def test_no_detection_at_all_is_zero(tmp_path):
    found = scored(written([], tmp_path), "squares.boxes")
    assert found.metrics["overlap"] == 0
    assert all(m.error == 1 for m in found.mistakes["mistakes"])


def test_a_file_of_other_images_is_an_error(runs, tmp_path):
    path = written(entries_of(runs["squares.boxes"], "val"), tmp_path)
    with pytest.raises(gvt.DataError, match=r"none of its images is in split 'test'; it names"):
        gvt.evaluate_predictions(path, "squares.boxes")


@pytest.mark.parametrize(
    ("recipe", "words", "split", "said"),
    [
        ("squares.names", (), None, "has no head with metrics for boxes"),
        ("squares.unmeasured", (), None, "has no head with metrics for boxes"),
        ("gan.mnist", (), "test", "has no head with metrics for boxes"),
        ("squares.boxes", (), "tset", "no split 'tset'"),
        ("squares.boxes", ("evaluate.split=null", "evaluate.final=null"), None, "name one"),
        ("squares.boxs", (), None, "squares.boxes"),
        ("no/such/run", (), None, "no"),
    ],
)
def test_what_cannot_be_scored_is_one_line(recipe, words, split, said, tmp_path):
    with pytest.raises(gvt.GvtError) as error:
        gvt.evaluate_predictions(written([], tmp_path), recipe, *words, split=split)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_has_the_classes_that_it_has(runs, tmp_path):
    path, folder = written([], tmp_path), runs["squares.boxes"].folder
    with pytest.raises(gvt.ConfigError, match="its classes are a, b, c, but the networks"):
        gvt.evaluate_predictions(path, folder, "data.names=[a, b, c]")
    with pytest.raises(gvt.UsageError, match="the networks are those of the checkpoint"):
        gvt.evaluate_predictions(path, folder, "train.steps=5")


@pytest.mark.parametrize("content", ["nonsense", "{}", '[{"image_id": 1}]', '[{"score": NaN}]'])
def test_a_damaged_file_is_one_line_that_names_it(content, tmp_path):
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(gvt.DataError) as error:
        gvt.evaluate_predictions(path, "squares.boxes")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_command(runs, call, tmp_path):
    entries = [e | {"file_name": Path(e["file_name"]).name} for e in entries_of(runs[RECIPES[0]])]
    path = written(entries, tmp_path)

    def gvt_eval(*words):
        return call("eval", "--plugin", SQUARES, *words, cwd=tmp_path)

    done = gvt_eval("squares.boxes", "--predictions", path)
    assert done.returncode == 0, done.stderr
    named = dict(line.split() for line in done.stdout.splitlines())
    evaluated = gvt.evaluate_checkpoint(runs["squares.boxes"].folder, split="test").metrics
    assert float(named["overlap"]) == pytest.approx(evaluated["overlap"], abs=1e-6)
    assert done.stderr.splitlines()[-1] == (
        "only printed, since these are a file's predictions; -o FOLDER saves it"
    )
    raw = gvt_eval("squares.boxes", "--predictions", path, "--raw")
    assert (raw.returncode, raw.stdout) == (2, "")
    assert "--raw" in raw.stderr


def test_the_truth_as_a_file_scores_one(runs, tmp_path):
    dataset = open_dataset(runs["squares.masks"].config, "test")
    entries = []
    for index in range(len(dataset)):
        sample = dataset[index]
        (truth,) = to_original([dict(sample.targets)], [sample.record])
        said = truth | {"scores": torch.full((len(truth["labels"]),), 0.9)}
        entries += results_of(said, index + 1, sample.record.source, dataset.classes)
    found = scored(written(entries, tmp_path), "squares.masks").metrics
    assert found["overlap"] == found["mask_overlap"] == found["overlap_class/red"] == 1


def test_numbers_of_images_that_have_none_are_an_error_at_once(runs, tmp_path, monkeypatch):
    entries = entries_of(runs["squares.boxes"])
    numbered = [{k: v for k, v in e.items() if k != "file_name"} for e in entries]
    path = written(numbered, tmp_path)
    asked, of = [], Results.of
    monkeypatch.setattr(
        Results, "of", lambda self, record: asked.append(record) or of(self, record)
    )
    with pytest.raises(gvt.DataError, match="alone, but the images of split 'test' have "
                       "no numbers; give file_name"):  # fmt: skip
        gvt.evaluate_predictions(path, "squares.boxes", "data.numbered=false")
    assert not asked
    named = scored(written(entries, tmp_path), "squares.boxes", "data.numbered=false")
    assert named.metrics["overlap"] > 0


def test_a_split_without_images_is_an_error(runs, tmp_path):
    path = written(entries_of(runs["squares.boxes"]), tmp_path)
    with pytest.raises(gvt.DataError, match="squares has no samples in its split 'test'"):
        gvt.evaluate_predictions(path, "squares.boxes", "data.count=0")


def test_masks_of_a_file_are_read_for_heads_that_measure_them_alone(runs, tmp_path):
    entries = entries_of(runs["squares.masks"])
    expected = scored(written(entries, tmp_path), "squares.boxes").metrics
    for entry in entries:
        entry["segmentation"] = {"size": [1, 1], "counts": [7]}
    path = written(entries, tmp_path)
    assert scored(path, "squares.boxes").metrics == pytest.approx(expected)
    with pytest.raises(gvt.DataError, match="entry 1: segmentation: its size is"):
        gvt.evaluate_predictions(path, "squares.masks")
