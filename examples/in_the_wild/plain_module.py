"""A plain torch module as a task, in a few lines.

python examples/in_the_wild/plain_module.py
"""

import sys

import torch.nn.functional as F
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

import gvt

# --- a module without any gvt code ------------------------------------------------------------


class LeNet(nn.Sequential):
    """The layers of LeNet-5 with ReLU: images (N, 1, 28, 28) to logits (N, classes)."""

    def __init__(self, classes):
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )


# --- the task ---------------------------------------------------------------------------------


@gvt.register("task", "lenet", summary="LeNet-5 with cross entropy")
class Classification(gvt.Task):
    phases = (gvt.Phase("classification", trains="net"),)

    def __init__(self, num_classes):
        super().__init__()
        self.net, self.num_classes = LeNet(num_classes), num_classes

    def forward(self, phase, batch, step):
        return {"cross_entropy": F.cross_entropy(self.net(batch.images), batch.targets["class"])}

    def predict(self, batch):
        return [{"class": number} for number in self.net(batch.images).argmax(1)]

    def metric(self):
        accuracy = MulticlassAccuracy(self.num_classes, average="micro")
        return gvt.StackedMetric(accuracy, "class", "class", name="accuracy")


RECIPE = {
    "recipe": "lenet",
    "task": {"name": "lenet"},
    "data": {"name": "mnist", "batch_size": 64},
    "optimizers": {"net": {"name": "Adam", "lr": 2e-3}},
    "train": {"steps": 300},
    "evaluate": {"split": "test", "batch_size": 1000},
}

if __name__ == "__main__":
    run = gvt.run(RECIPE, *sys.argv[1:])
    print(f"accuracy on test digits: {run.metrics['test/accuracy']:.3f}")
