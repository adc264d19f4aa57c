"""A plugin: pairs of images from two domains, and a cycle-consistent task with four networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import gvt
from gvt_registry import Component, hookimpl

Shape = tuple[int, int, int]


class Other(gvt.Field):
    """The image of the other domain, (C, H, W)."""

    is_dense = True
    is_spatial = True

    def on_device(self, value, place):
        return place.images(value)


class Pairs:
    """Bright squares on dark ground, and the same images with bright and dark exchanged."""

    splits = ("train", "val")

    def __init__(self, split: str, count: int = 12) -> None:
        self._first = 1000 * (split == "val")
        self._count = count
        self.info = gvt.DataInfo((), (1, 8, 8))

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        left = (self._first + 3 * index) % 5
        bright = torch.full((1, 8, 8), 0.1)
        bright[:, left : left + 3, left : left + 3] = 0.9
        record = gvt.Record(f"pair {index}", (8, 8))
        return gvt.Sample({"image": bright, "target_image": 1 - bright}, {}, record)


class Translator(gvt.Generator):
    """Maps images to images of the other domain."""

    image_range = (0.0, 1.0)

    def __init__(self, image_shape: Shape, width: int = 4) -> None:
        super().__init__()
        self.latent_shape = self.image_shape = image_shape
        before, after = nn.Conv2d(image_shape[0], width, 3, padding=1), nn.Conv2d(width, 1, 1)
        self.layers = nn.Sequential(before, nn.Tanh(), after, nn.Sigmoid())

    def forward(self, z, labels=None):
        return self.layers(z)


class Patches(gvt.Discriminator):
    """Scores patches of images."""

    def __init__(self, image_shape: Shape, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(image_shape[0], width, 4, 2, 1), nn.Tanh(), nn.Conv2d(width, 1, 1)
        )

    def forward(self, images, labels=None):
        return self.layers(images).mean(dim=(1, 2, 3))


class Blur(nn.Module):
    """A network of no particular kind."""

    def __init__(self, image_channels: int, size: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(image_channels, image_channels, size, padding=size // 2)

    def forward(self, images):
        return self.layer(images)


class Cycle(gvt.Task):
    """CycleGAN (Zhu and others, 2017, https://arxiv.org/abs/1703.10593), with its losses only.

    Args:
        g_ab: From domain A, `image`, to domain B, `target_image`.
        g_ba: From domain B to domain A.
        d_a: Scores images of A.
        d_b: Scores images of B.
        filter: Applied to images before they are compared.
        weight: Factor of the loss of a cycle.
    """

    phases = (
        gvt.Phase("generators", trains=("g_ab", "g_ba"), optimizer="generators"),
        gvt.Phase("d_a", trains="d_a"),
        gvt.Phase("d_b", trains="d_b"),
    )

    def __init__(
        self,
        g_ab: gvt.Generator,
        g_ba: gvt.Generator,
        d_a: gvt.Discriminator,
        d_b: gvt.Discriminator,
        filter: nn.Module | None = None,
        weight: float = 10.0,
    ) -> None:
        super().__init__()
        self.g_ab, self.g_ba, self.d_a, self.d_b = g_ab, g_ba, d_a, d_b
        self.filter, self.weight = filter or nn.Identity(), weight

    def forward(self, phase, batch, step):
        a, b = batch.images, batch.inputs["target_image"]
        fakes = {"a": self.g_ba(b), "b": self.g_ab(a)}
        if phase == "generators":
            judged = _squares(self.d_a(fakes["a"]), 1) + _squares(self.d_b(fakes["b"]), 1)
            return {"adversarial": judged, "cycle": self.weight * self._cycle(a, b, fakes)}
        judge, reals = (self.d_a, a) if phase == "d_a" else (self.d_b, b)
        fake = judge(fakes[phase[-1]].detach())
        return {"real": _squares(judge(reals), 1), "fake": _squares(fake, 0)}

    def evaluate(self, batch, step):
        error = functional.l1_loss(self.g_ab(batch.images), batch.inputs["target_image"])
        return [], {"translation": (error, len(batch))}

    def pictures(self, seed, examples):
        if examples is None:
            return {}
        return {"translated": torch.stack([examples.images, self.g_ab(examples.images)])}

    def _cycle(self, a: Tensor, b: Tensor, fakes: Mapping[str, Tensor]) -> Tensor:
        back = ((self.g_ba(fakes["b"]), a), (self.g_ab(fakes["a"]), b))
        return sum(functional.l1_loss(self.filter(one), self.filter(two)) for one, two in back)


class Cycles(Cycle):
    """The same, with its networks in mappings.

    Args:
        generators: `ab` and `ba`.
        discriminators: `a` and `b`.
        weight: Factor of the loss of a cycle.
    """

    def __init__(
        self,
        generators: dict[str, gvt.Generator],
        discriminators: Mapping[str, gvt.Discriminator],
        weight: float = 10.0,
    ) -> None:
        networks: dict[str, Any] = {f"g_{name}": network for name, network in generators.items()}
        networks |= {f"d_{name}": network for name, network in discriminators.items()}
        super().__init__(**networks, weight=weight)


def _squares(scores: Tensor, label: float) -> Tensor:
    return (scores - label).square().mean()


COMMON = {
    "data": {"name": "pairs", "batch_size": 4, "workers": 0},
    "optimizers": {n: {"name": "Adam", "lr": 0.01} for n in ("generators", "d_a", "d_b")},
    "train": {"steps": 4, "pictures_every": 2, "checkpoint_every": 2},
    "evaluate": {"split": "val"},
    "device": "cpu",
}
RECIPES = {
    "cycle.networks": {
        "task": {"name": "cycle"},
        "networks": {
            "g_ab": {"name": "translator", "width": 6},
            "g_ba": {"name": "translator"},
            "d_a": {"name": "patches"},
            "d_b": {"name": "patches", "width": 3},
        },
        **COMMON,
    },
    "cycle.mappings": {
        "task": {
            "name": "cycles",
            "generators": {"ab": {"name": "translator", "width": 6}, "ba": "translator"},
            "discriminators": {"a": "patches", "b": {"name": "patches", "width": 3}},
        },
        **COMMON,
    },
}


@hookimpl
def gvt_components():
    """Return the data set, the networks, the tasks and the recipes."""
    return [
        Component("dataset", "pairs", Pairs, "Pairs of images"),
        Component("generator", "translator", Translator, "Images to images"),
        Component("discriminator", "patches", Patches, "Scores of patches"),
        Component("network", "blur", Blur, "A filter"),
        Component("task", "cycle", Cycle, "Two generators, two discriminators"),
        Component("task", "cycles", Cycles, "The same in mappings"),
        *(Component("recipe", name, recipe, "A recipe") for name, recipe in RECIPES.items()),
    ]


@hookimpl
def gvt_fields():
    """Return the second input."""
    return {"target_image": f"{__name__}:Other"}
