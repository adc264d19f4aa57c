"""What is found on held-out data, besides numbers."""

from dataclasses import replace

import pytest
import torch

import gvt
from gvt.device.processes import World
from gvt.loop import evaluation
from gvt.loop.evaluation import WORST, evaluate
from gvt.task import Step


class Nearest(gvt.Task):
    """Says the brightness of a picture, rounded, of those from 0 to 2."""

    phases = (gvt.Phase("nothing", trains="scale"),)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Linear(1, 1)

    def forward(self, phase, batch, step: Step):
        return {}

    def predict(self, batch):
        return [{"class": v} for v in (batch.images.amax(dim=(1, 2, 3)) * 2).round().long()]

    def errors(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        return {"": torch.stack([(p["class"] - t["class"]).abs() for p, t in pairs])}

    def metric(self):
        from torchmetrics import MetricCollection, classification

        of = {
            "accuracy": classification.MulticlassAccuracy(3, average="micro"),
            "recall": classification.MulticlassRecall(3, average=None),
            "confusion": classification.MulticlassConfusionMatrix(3),
        }
        return gvt.StackedMetric(MetricCollection(of), "class", "class")


def batch(said, true, sizes=None):
    images = torch.zeros(len(said), 1, 4, 6)
    images[:, 0, 0, 0] = torch.tensor(said) / 2
    sizes = sizes or ((4, 6),) * len(said)
    records = [gvt.Record(f"picture {i} of {len(said)}", (4, 6)) for i in range(len(said))]
    targets = gvt.Targets({"class": torch.tensor(true)})
    return gvt.Batch({"image": images}, gvt.Frame(sizes, (4, 6)), targets=targets, records=records)


def test_numbers_and_tables_are_kept_apart():
    found = evaluate(Nearest(), [batch([0, 1, 2, 0], [0, 1, 1, 2])])
    assert found.metrics == {"accuracy": 0.5, "recall/0": 1.0, "recall/1": 0.5, "recall/2": 0.0}
    assert found.tables["confusion"].tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


def test_mistakes_are_the_wrong_ones_of_all_batches_the_worst_first():
    first = batch([0, 1, 2], [0, 2, 2], sizes=((4, 6), (3, 5), (4, 6)))
    second = batch([2, 1], [0, 0])
    mistakes = evaluate(Nearest(), [first, second]).mistakes["mistakes"]
    assert [m.error for m in mistakes] == [2, 1, 1]
    assert [m.source for m in mistakes] == ["picture 0 of 2", "picture 1 of 3", "picture 1 of 2"]
    assert mistakes[1].inputs["image"].shape == (1, 3, 5)  # without the padding
    assert int(mistakes[0].prediction["class"]) == 2
    assert int(mistakes[0].target["class"]) == 0


def test_so_many_mistakes_are_kept_and_no_more():
    wrong = batch([2] * 30 + [1] * 30, [0] * 60)
    mistakes = evaluate(Nearest(), [wrong, wrong]).mistakes["mistakes"]
    assert len(mistakes) == WORST
    assert {m.error for m in mistakes} == {2}


def test_later_mistakes_that_are_worse_take_the_place_of_others():
    found = evaluate(Nearest(), [batch([1] * 60, [0] * 60), batch([1, 2, 2], [0, 0, 0])])
    errors = [m.error for m in found.mistakes["mistakes"]]
    assert errors == [2, 2] + [1] * (WORST - 2)


def test_only_what_is_worse_than_the_kept_is_copied(monkeypatch):
    def copies(*batches):
        count, copy = 0, evaluation._copied

        def counting(value):
            nonlocal count
            count += 1
            return copy(value)

        with monkeypatch.context() as patch:
            patch.setattr(evaluation, "_copied", counting)
            evaluate(Nearest(), batches)
        return count

    wrong = batch([1] * 60, [0] * 60)
    once = copies(wrong)
    assert once > 0
    assert copies(wrong, wrong, wrong) == once
    assert copies(wrong, batch([2], [0])) == once + copies(batch([2], [0]))


def test_an_evaluation_knows_how_many_shared_it():
    class Half(World):
        def add(self, values):  # what the other process found is not needed here
            return dict(values)

    assert evaluate(Nearest(), [batch([0], [0])]).processes == 1
    assert evaluate(Nearest(), [batch([0], [0])], Half(size=2)).processes == 2


def test_metrics_of_a_split_are_named_by_it_and_never_as_training_losses():
    found = gvt.Evaluation({"accuracy": 0.5, "loss/a": 1.0})
    assert found.named("val") == {"val/accuracy": 0.5, "val/loss/a": 1.0}
    assert found.named("train") == {"train_eval/accuracy": 0.5, "train_eval/loss/a": 1.0}


def test_what_is_no_number_is_as_wrong_as_can_be(monkeypatch):
    def errors(task, predictions, targets):
        return {"": torch.tensor([0.5, float("nan"), 0.0])}

    monkeypatch.setattr(Nearest, "errors", errors)
    mistakes = evaluate(Nearest(), [batch([0, 1, 2], [0, 1, 2])]).mistakes["mistakes"]
    assert [m.error for m in mistakes] == [float("inf"), 0.5]


def test_a_mistake_does_not_hold_its_batch():
    (mistake,) = evaluate(Nearest(), [batch([0, 1, 2], [0, 1, 1])]).mistakes["mistakes"]
    for tensor in (mistake.inputs["image"], mistake.prediction["class"], mistake.target["class"]):
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_where_all_is_right_there_are_no_mistakes():
    found = evaluate(Nearest(), [batch([0, 1], [0, 1])])
    assert found.mistakes == {"mistakes": []}


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_several_heads_have_each_their_own(tmp_path):
    run = gvt.run(
        *("classify.mnist", "train.steps=2", "data.holdout=500", "evaluate.final=null"),
        *("heads.other.name=classifier", "evaluate.best=null", f"run.root={tmp_path}"),
        quiet=True,
    )
    names = {p.name for p in (run.folder / "evaluation").iterdir()}
    heads = ("digit", "other")
    assert names == {"val.json"} | {
        f"val_{head}_{what}.png" for head in heads for what in ("confusion", "mistakes")
    }
    assert {"val/digit/f1", "val/other/precision"} <= run.metrics.keys()


class Dense(Nearest):
    """Says of each pixel whether it is light."""

    def predict(self, batch):
        light = (batch.images[:, 0] > 0.4).long()
        return [{"semantic": m, "scores": torch.stack([1.0 - m, 1.0 * m])} for m in light]

    def metric(self):
        from torchmetrics.classification import BinaryAccuracy

        return gvt.StackedMetric(BinaryAccuracy(), "semantic", "semantic")

    def errors(self, predictions, targets):
        return {"": torch.ones(len(targets))}


def test_mistakes_of_pixels_are_without_padding_and_without_scores():
    one = batch([2, 2], [0, 0], sizes=((3, 5), (4, 6)))
    targets = gvt.Targets({"semantic": torch.zeros(2, 4, 6, dtype=torch.int64)})
    found = evaluate(Dense(), [replace(one, targets=targets)])
    for mistake, size in zip(found.mistakes["mistakes"], [(3, 5), (4, 6)], strict=True):
        assert mistake.inputs["image"].shape[-2:] == size
        assert list(mistake.prediction) == ["semantic"]
        assert mistake.prediction["semantic"].shape == mistake.target["semantic"].shape == size
        assert mistake.prediction["semantic"].sum() == 1


def metrics(value, *classes):
    of_classes = evaluation.Evaluation({}, classes=classes)
    evaluation._add_values(of_classes, value)
    return of_classes.metrics


def test_classes_of_one_name_keep_a_figure_each():
    value = {"iou": torch.tensor([0.1, 0.2, 0.3])}
    assert metrics(value, "crane", "crane", "dog").keys() == {"iou/0", "iou/1", "iou/2"}
    assert metrics(value, "cat", "dog").keys() == {"iou/cat", "iou/dog", "iou/background"}


class Detector(Nearest):
    """Says two boxes of every picture, one of them surely."""

    said = None

    def predict(self, batch):
        boxes = torch.tensor([[0.0, 0, 3, 3], [1, 1, 5, 4]])
        masks = torch.zeros(2, 4, 6, dtype=torch.bool)
        one = {"boxes": boxes, "labels": torch.tensor([0, 1]), "masks": masks}
        return [one | {"scores": torch.tensor([0.9, 0.4])} for _ in range(len(batch))]

    def metric(self):
        return Boxes()

    def errors(self, predictions, targets):
        return {"": torch.tensor([float(p["boxes"].sum()) for p in predictions])}


class Boxes:
    """Counts what is said, in pixels of the original images."""

    def __init__(self):
        self.seen = []

    def to(self, device):
        return self

    def update(self, predictions, targets):
        self.seen += [p["boxes"] for p in predictions]

    def compute(self):
        x = torch.linspace(0, 1, 3)
        curves = gvt.Curves(x, torch.stack([x, 1 - x]), ("a", "b"))
        return {"sum": torch.cat(self.seen).sum(), "some": curves, "of": torch.tensor([0.0, 1.0])}


def boxed():
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64))
    records = [gvt.Record(f"{n}.png", (8, 12), half) for n in range(2)]
    truth = [torch.tensor([[0.0, 0, 2, 2]])] * 2
    targets = gvt.Targets({}, {"boxes": truth, "labels": [torch.tensor([0])] * 2})
    return replace(batch([0, 0], [0, 0]), targets=targets, records=records)


def test_the_figure_of_a_single_class_bears_its_name():
    value = {"ap": torch.tensor([0.5]), "all": torch.tensor(0.25)}
    assert metrics(value, "cell") == {"ap/cell": 0.5, "all": 0.25}


def test_a_data_set_may_tell_the_truth_in_original_pixels():
    seen = []

    class Kept(Boxes):
        def update(self, predictions, targets):
            super().update(predictions, targets)
            seen.extend(targets)

    judge = Detector()
    judge.metric = Kept
    mapped, own = boxed().records
    exact = {"boxes": torch.tensor([[0.3, 0, 3, 3]]), "ignored": torch.tensor([True])}
    evaluate(judge, [replace(boxed(), records=[mapped, replace(own, truth=lambda: exact)])])
    assert seen[0]["boxes"].tolist() == [[0, 0, 4, 4]]
    assert torch.equal(seen[1]["boxes"], exact["boxes"])
    assert seen[1]["ignored"].tolist() == [True]
    assert seen[1]["labels"].tolist() == [0]  # of which it does not tell


def test_curves_are_kept_apart():
    found = evaluate(Detector(), [boxed()], classes=["cat", "dog"])
    assert found.metrics == {"sum": 2 * 2 * (6 + 11), "of/cat": 0.0, "of/dog": 1.0}
    assert found.curves["some"].names == ("a", "b")
    assert found.curves["some"].y.tolist() == [[0, 0.5, 1], [1, 0.5, 0]]


def test_boxes_that_nobody_is_sure_of_are_not_kept_for_the_sheet():
    for mistake in evaluate(Detector(), [boxed()]).mistakes["mistakes"]:
        assert mistake.prediction["boxes"].tolist() == [[0, 0, 3, 3]]
        assert mistake.prediction["labels"].tolist() == [0]
        assert len(mistake.prediction["scores"]) == len(mistake.prediction["masks"]) == 1
        assert mistake.target["boxes"].tolist() == [[0, 0, 2, 2]]


def test_predictions_may_come_from_elsewhere():
    def elsewhere(record):
        left = 2.0 if record.source == "1.png" else 0.0
        boxes = torch.tensor([[left, 0, 12, 8]])
        return {"boxes": boxes, "labels": torch.tensor([1]), "scores": torch.tensor([0.7])}

    found = evaluate(Detector(), [boxed()], results=elsewhere)
    assert found.metrics["sum"] == 20 + 22  # in pixels of the original
    worst, other = found.mistakes["mistakes"]
    assert worst.prediction["boxes"].tolist() == [[1, 0, 6, 4]]  # in those of the picture
    assert other.prediction["boxes"].tolist() == [[0, 0, 6, 4]]
    assert not any(name.startswith("loss/") for name in found.metrics)
