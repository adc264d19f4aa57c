"""What a logged number measures."""

import torch

import gvt
from gvt.loop.figures import Figure
from gvt.task import Step


class Vector(gvt.Metric):
    """Computes a number, and vectors over the classes, over pixels, and over something else."""

    def to(self, device):
        return self

    def update(self, predictions, targets):
        pass

    def compute(self):
        sizes = {"iou": 2, "pixels": 3, "at": 4}
        vectors = {name: torch.arange(size) / 4 for name, size in sizes.items()}
        return {"loss/of_a_metric": torch.tensor(0.5), **vectors}


class Judged(gvt.Task):
    """Has a metric and a loss."""

    phases = (gvt.Phase("nothing", trains="scale"),)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Linear(1, 1)

    def forward(self, phase, batch, step: Step):
        return {}

    def evaluate(self, batch, step):
        return [], {"a": (torch.tensor(1.0), len(batch))}

    def metric(self):
        return Vector()


def test_an_evaluation_knows_what_its_figures_measure():
    batch = gvt.Batch({"image": torch.zeros(1, 1, 2, 2)}, gvt.Frame(((2, 2),), (2, 2)))
    found = gvt.evaluate(Judged(), [batch], classes=["cat", "7"])
    assert {name: found.figure(name) for name in found.metrics} == {
        "loss/of_a_metric": Figure("metric"),
        "iou/cat": Figure("metric", "cat"),
        "iou/7": Figure("metric", "7"),
        "pixels/cat": Figure("metric", "cat"),
        "pixels/7": Figure("metric", "7"),
        "pixels/background": Figure("metric", "background"),
        **{f"at/{n}": Figure("metric", f"{n}") for n in range(4)},
        "loss/a": Figure("loss"),
    }
    assert (found.metrics["iou/7"], found.metrics["at/3"]) == (0.25, 0.75)
