"""Data that has nothing to teach a head is an error before training."""

import pytest
import torch

import gvt
from gvt_data.commands.check import check
from gvt_registry import default_registry

FAST = ["device=cpu", "train.precision=float32", "data.workers=0"]
DETECTOR = {
    "name": "faster_rcnn",
    "hidden": 16,
    "rpn_batch": 16,
    "roi_batch": 16,
    "proposals_train": [30, 20],
    "proposals_predict": [30, 10],
}
BOXED = {"name": "scenes", "size": 48, "count": 8, "held_out": 4, "targets": ["boxes", "labels"]}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Offer a data set of images without objects, which says so."""
    monkeypatch.setattr(default_registry(), "_in_code", {})

    @gvt.register("dataset", "bare", summary="Images on which nothing is")
    class Bare:
        splits = ("train", "val")
        classes = tuple("0123456789")
        image_shape = (3, 48, 48)
        left_out = {"crowd": 4}  # noqa: RUF012

        def __init__(self, split: str) -> None:
            self.split = split
            self.lacks = dict.fromkeys(("boxes", "labels"), "left out: 4 crowd")

        def __len__(self):
            return 4

        def __getitem__(self, index):
            image = torch.full((3, 48, 48), index, dtype=torch.uint8)
            targets = {
                "boxes": torch.zeros(0, 4),
                "labels": torch.zeros(0, dtype=torch.int64),
                "class": torch.tensor(index % 2),
            }
            return gvt.Sample(
                {"image": image}, targets, gvt.Record(f"{self.split} {index}", (48, 48))
            )


def recipe(data, **heads):
    return {
        "task": {"name": "heads"},
        "data": {"batch_size": 4, **data},
        "backbone": {"name": "unet_encoder", "width": 8, "depth": 2},
        "heads": heads,
        "optimizers": {"model": {"name": "AdamW", "lr": 1e-3}},
        "train": {"steps": 1},
    }


def run(of, folder):
    return gvt.run(of, *FAST, f"run.root={folder}", quiet=True)


def test_a_head_is_not_trained_on_data_that_lacks_its_targets(tmp_path):
    said = r"^data: heads\.cells needs boxes to learn from, and no sample .*: left out: 4 crowd$"
    with pytest.raises(gvt.DataError, match=said):
        run(recipe({"name": "bare"}, cells=DETECTOR), tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_heads_may_be_trained_on_it(tmp_path):
    run(recipe({"name": "bare"}, kind={"name": "classifier"}), tmp_path)


def test_of_mixed_data_one_part_with_objects_is_enough(tmp_path):
    parts = {"empty": {"name": "bare"}, "full": BOXED}
    run(recipe({"name": "mixed", "parts": parts}, cells=DETECTOR), tmp_path)
    learner = DETECTOR | {"learns_from": "empty"}
    with pytest.raises(gvt.DataError, match=r"heads\.cells needs boxes .*left out: 4 crowd"):
        run(recipe({"name": "mixed", "parts": parts}, cells=learner), tmp_path)


def test_mixed_data_lacks_what_no_part_has():
    named = BOXED | {"targets": ["class"]}
    parts = {"one": {"name": "bare"}, "named": named}
    found = gvt.create("dataset", "mixed", split="train", parts=parts)
    assert found.info.lacks["boxes"] == "one: left out: 4 crowd"
    found = gvt.create("dataset", "mixed", split="train", parts={**parts, "full": BOXED})
    assert found.info.lacks == {}


def test_data_check_fails_with_the_table(tmp_path):
    from gvt.config import text

    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(recipe({"name": "bare"}, cells=DETECTOR)))
    said = "^bare: no sample of the training split has any boxes: left out: 4 crowd$"
    with pytest.raises(gvt.DataError, match=said) as caught:
        check(str(path), [])
    assert "left out: crowd" in caught.value.details


def test_data_check_fails_where_the_training_split_cannot_be_opened(tmp_path):
    from gvt.config import text

    @gvt.register("dataset", "half", summary="Images whose training split is broken")
    class Half(default_registry().find("dataset", "bare").load()):
        def __init__(self, split: str) -> None:
            if split == "train":
                raise gvt.DataError("data: 3 of 4 lines are of another task; mend them")
            super().__init__(split)

    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(recipe({"name": "half"}, cells=DETECTOR)))
    with pytest.raises(gvt.DataError, match=r"lines are of another task; mend them$") as caught:
        check(str(path), [])
    assert "images" in caught.value.details
