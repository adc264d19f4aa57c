"""A plugin for clips: the field `clip`, data, a backbone for existing heads, and a task."""

import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.utils import make_grid

import gvt
from gvt_registry import Component, hookimpl

FRAMES, SIDE, ENLARGED = 6, 12, 4
MILLISECONDS = 120


@hookimpl
def gvt_fields():
    return {"clip": "clips:Clip"}


@hookimpl
def gvt_components():
    return [
        Component("dataset", "squares", "clips:Squares"),
        Component("backbone", "clip_cnn", "clips:ClipCNN"),
        Component("task", "clip_predictor", "clips:ClipPredictor"),
    ]


class Clip(gvt.Field):
    """Grey clips, (T, 1, H, W), uint8, or float in [0, 1]."""

    is_dense = True

    def on_device(self, value, place):
        value = super().on_device(value, place)
        return value.float() / 255 if value.dtype == torch.uint8 else value

    def files(self, value, milliseconds=MILLISECONDS):
        """Return clips (N, T, 1, H, W), or (N, T, 3, H, W), side by side as one animation."""
        frames = value.detach().float().cpu().clamp(0, 1).transpose(0, 1)
        large = frames.repeat_interleave(ENLARGED, -1).repeat_interleave(ENLARGED, -2)
        sheets = [make_grid(frame, nrow=4, pad_value=0.5) for frame in large]
        first, *others = [
            Image.fromarray(sheet.mul(255).byte().permute(1, 2, 0).numpy()) for sheet in sheets
        ]
        content = io.BytesIO()
        first.save(
            content, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0
        )
        return [(".gif", content.getvalue())]


class Squares:
    """A square that moves to the left or to the right.

    Args:
        samples: Number of clips of a split.
    """

    splits = ("train", "val")

    def __init__(self, split, samples: int = 12):
        self.info = gvt.DataInfo(("left", "right"), None)
        self._first, self._samples = self.splits.index(split) * samples, samples

    def __len__(self):
        return self._samples

    def __getitem__(self, index):
        number = self._first + index
        clip = torch.zeros(FRAMES, 1, SIDE, SIDE, dtype=torch.uint8)
        for time in range(FRAMES):
            left = 1 + (time if number % 2 else FRAMES - 1 - time)
            clip[time, 0, number % 8 : number % 8 + 3, left : left + 3] = 255
        record = gvt.Record(f"clip {number}", (0, 0))
        return gvt.Sample({"clip": clip}, {"class": number % 2}, record)


class ClipCNN(gvt.Backbone):
    """One convolution over space and time; the map is a sequence over time."""

    reads = ("clip",)

    def __init__(self, width: int = 8):
        super().__init__()
        self.layer = nn.Conv3d(1, width, 3, padding=1)
        self.feature_info = {"features": (width, 1)}

    def forward(self, clips):
        maps = self.layer(clips.transpose(1, 2)).relu()
        return {"features": maps.amax(dim=(3, 4))[:, :, None]}


class ClipPredictor(gvt.Task):
    """Predicts each frame from the two frames before it."""

    phases = (gvt.Phase("prediction", trains="net"),)

    def __init__(self, width: int = 8):
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(2, width, 5, padding=2), nn.ReLU(), nn.Conv2d(width, 1, 5, padding=2)),
            nn.Sigmoid(),
        )

    def _continued(self, clips):
        frames = [*clips[:, :2].unbind(1)]
        for _ in range(FRAMES - 2):
            frames.append(self.net(torch.cat(frames[-2:], dim=1)))
        return torch.stack(frames, dim=1)

    def _losses(self, batch):
        clips = batch.inputs["clip"]
        return {"mse": F.mse_loss(self._continued(clips), clips)}

    def forward(self, phase, batch, step):
        return self._losses(batch)

    def evaluate(self, batch, step):
        losses = {name: (loss, len(batch)) for name, loss in self._losses(batch).items()}
        return [{}] * len(batch), losses

    def sample(self, count, seed):
        draws = [torch.Generator().manual_seed(1000 * seed + i) for i in range(count)]
        first = torch.stack([torch.rand(2, 1, SIDE, SIDE, generator=g) for g in draws])
        return gvt.Shown("clip", self._continued(first.to(next(self.parameters()).device)))

    def pictures(self, seed, examples):
        if examples is None:
            return {}
        clips = examples.inputs["clip"][:4]
        return {"continued": gvt.Shown("clip", self._continued(clips), {"milliseconds": 200})}
