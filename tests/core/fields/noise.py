"""A plugin for noise: images of bars, and a task whose held-out loss needs noise."""

import torch
import torch.nn.functional as F
from torch import nn

import gvt
from gvt_registry import Component, hookimpl


@hookimpl
def gvt_components():
    return [
        Component("dataset", "bars", "noise:Bars"),
        Component("task", "denoiser", "noise:Denoiser"),
    ]


class Bars:
    """Images with a bright bar, without any target."""

    splits = ("train", "val")

    def __init__(self, split: str = "train", count: int = 96):
        self._first, self._count = int(split == "val"), count
        self.info = gvt.DataInfo((), (1, 8, 8))

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        image = torch.zeros(1, 8, 8)
        left = (self._first + index) % 4
        image[:, 2:6, left : left + 4] = 1
        return gvt.Sample({"image": image}, {}, gvt.Record(f"bar {index}", (8, 8)))


class Denoiser(gvt.Task):
    """Finds the noise that was added to images, in training and in evaluation."""

    phases = (gvt.Phase("denoise", trains="network"),)

    def __init__(self):
        super().__init__()
        self.network = nn.Conv2d(1, 1, 3, padding=1)
        self.shown = []

    def forward(self, phase, batch, step):
        noise = step.randn(len(batch), *batch.images.shape[1:])
        level = torch.rand(len(batch), 1, 1, 1)  # from torch's default generator
        return {"mse": F.mse_loss(self.network(batch.images + level * noise), noise)}

    def evaluate(self, batch, step):
        return [], {"mse": (self("denoise", batch, step)["mse"], len(batch))}

    def pictures(self, seed, examples):
        self.shown.append(examples)
        return {} if examples is None else {"before": examples.images}
