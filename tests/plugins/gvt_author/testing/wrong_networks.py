"""A plugin file of models, tasks and recipes, each named after the rule that it breaks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvt import Backbone, Batch, Discriminator, Generator, Head, PassedTo, Phase, Step, Task
from gvt.vision.padding import pooled
from gvt_registry import Component, hookimpl


class Blank(Generator):
    """One dense layer; the base of the other generators.

    Args:
        image_shape: (C, H, W).
    """

    latent_shape = (4,)

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.layer = nn.Linear(4, image_shape[0] * image_shape[1] * image_shape[2])

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(z).tanh().view(-1, *self.image_shape)


class NoDocstring(Blank):
    pass


NoDocstring.__doc__ = None


class Undocumented(Blank):
    """A parameter without documentation."""

    def __init__(self, image_shape: tuple[int, int, int], strength: float = 1.0) -> None:
        super().__init__(image_shape)


class PassesOn(Blank):
    """A parameter that is passed on to a class that does not document it."""

    def __init__(self, **rest: Annotated[Any, PassedTo(Undocumented)]) -> None:
        super().__init__(rest["image_shape"])


class Untyped(Blank):
    """A parameter of no type.

    Args:
        strength: How strong.
    """

    def __init__(self, image_shape: tuple[int, int, int], strength=1.0) -> None:
        super().__init__(image_shape)


class Unrecorded(Blank):
    """Says what a parameter was that it does not have.

    Args:
        image_shape: (C, H, W).
        strength: How strong.
    """

    gvt_unrecorded: ClassVar = {"strength": 1.0, "strenght": 2.0}

    def __init__(self, image_shape: tuple[int, int, int], strength: float = 3.0) -> None:
        super().__init__(image_shape)


class DoesNotBuild(Blank):
    """Its default is impossible."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.layer = nn.Linear(4, "many")


class Transposed(Blank):
    """Images of another shape than declared."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(z).flatten(1)


class Column(Discriminator):
    """Logits (N, 1).

    Args:
        image_shape: (C, H, W).
    """

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layer = nn.Conv2d(image_shape[0], 1, 3)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(images).mean(dim=(2, 3))


class OnePlane(Backbone):
    """A map of stride 2.

    Args:
        image_shape: (C, H, W).
    """

    stride = 2
    channels = None

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.feature_info = {"only": (4, self.stride)}
        self.layer = nn.Conv2d(self.channels or image_shape[0], 4, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"only": self.layer(images)}


class WrongStride(OnePlane):
    """Declares twice the stride."""

    stride = 4


class ColourOnly(OnePlane):
    """Takes three channels, and does not say so."""

    channels = 3


class EvenOnly(OnePlane):
    """Halves by a reshape, which odd sides do not let it."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        n, c, h, w = images.shape
        return {
            "only": F.avg_pool2d(self.layer(images.view(n, c, h // 2, 2, w).view(n, c, h, w)), 1)
        }


class OnePart(OnePlane):
    """Splits into itself, and once more what follows."""

    def split(self, stage):
        self.up_to(stage)
        return self, OnceMore(self.layer)


class OnceMore(nn.Module):
    """A layer that the first part has, too."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps):
        return maps


class Rounded(OnePlane):
    """Rounds what it passes on."""

    def split(self, stage):
        self.up_to(stage)
        return self, Rounding()


class Rounding(nn.Module):
    """Rounds its input."""

    def forward(self, maps):
        return {name: feature.bfloat16().float() for name, feature in maps.items()}


class AnySplit(OnePlane):
    """Splits at maps that it does not have."""

    def split(self, stage):
        return self, nn.Identity()


class Unused(Blank):
    """A layer that nothing goes through."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.spare = nn.Linear(2, 2)


class OneDtype(Blank):
    """Writes into a tensor of float32, whatever autocast computes in."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        values = self.layer(z)
        zeros, rows = z.new_zeros(values.shape), torch.arange(len(z), device=z.device)
        return zeros.index_add(0, rows, values).view(-1, *self.image_shape)


class HiddenState(Blank):
    """A random tensor that no checkpoint holds."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.offset = torch.rand(1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images = super().forward(z)
        return images if self.training else images + self.offset


class Counting(Blank):
    """Counts its calls in training, outside of the checkpoint."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.calls = 0

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.calls += self.training
        return super().forward(z) * (1 + self.calls if self.training else 1)


class OwnDice(Blank):
    """First weights that no seed decides."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        source = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "little"))
        nn.init.normal_(self.layer.weight, generator=source)


class Closure(Blank):
    """A function over its own layer, which a copy shares with it."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.call = lambda z: self.layer(z)  # noqa: PLW0108

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.call(z).tanh().view(-1, *self.image_shape)


class ClaimsOnnx(Blank):
    """Branches on a value, which no export can follow."""

    exports = ("onnx",)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images = super().forward(z)
        return images if images.mean() > 0 else -images


class Exported(Blank):
    """Claims what is so."""

    exports = ("onnx",)


class LargeOnly(Blank):
    """Takes nothing below 64 pixels, and says what to try."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        if min(image_shape[1:]) < 64:
            raise ValueError(f"images {image_shape}: at least 64 pixels a side")
        super().__init__(image_shape)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, tuple[int, ...]]:
        return {"image_shape": (1, 64, 64)}


class OnOneDevice(Blank):
    """A tensor that stays where it was made."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(image_shape)
        self.half = torch.tensor([0.5])

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(z) * self.half


class Counted(Head):
    """How many boxes there are.

    Args:
        feature_info: Of each map its (channels, stride).
    """

    needs = ("boxes",)

    def __init__(self, feature_info: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.name, (channels, _) = next(iter(feature_info.items()))
        self.layer = nn.Linear(channels, 1)

    def forward(self, features, batch):
        return self.layer(features[self.name].mean(dim=(2, 3))).squeeze(1)

    def loss(self, outputs, targets):
        counts = [float(len(boxes)) for boxes in targets["boxes"]]
        return {"count": F.l1_loss(outputs.float(), outputs.new_tensor(counts).float())}

    def predict(self, outputs):
        return [{"count": count} for count in outputs]


class CountedTensors(Counted):
    """Has a deployed form, and no prediction besides."""

    predicts = ("count",)
    exports = ("torch",)

    def predict(self, outputs):
        return super(Counted, self).predict(outputs)

    def tensors(self, outputs):
        return {"count": outputs}


class CountsOneMore(CountedTensors):
    """Counts otherwise where it is deployed."""

    def predict(self, outputs):
        return [{"count": count + 1} for count in outputs]


class ReturnsMore(CountedTensors):
    """Declares what it does not predict."""

    predicts = ("count", "scores")

    def predict(self, outputs):
        return [{"count": count} for count in outputs]

    def tensors(self, outputs):
        return {"count": outputs, "scores": outputs}


class Branching(CountedTensors):
    """Branches on a value, which no export can follow."""

    def tensors(self, outputs):
        return {"count": outputs if outputs.mean() > 0 else outputs.clone()}


class OfNoFormat(CountedTensors):
    """Declares a format that does not exist."""

    exports = ("tarot",)


class AnotherInTraining(Counted):
    """A loss that evaluation does not have."""

    def loss(self, outputs, targets):
        found = super().loss(outputs, targets)
        return found | ({"size": outputs.square().mean()} if self.training else {})


class PerBox(Counted):
    """Divides by the number of boxes."""

    def loss(self, outputs, targets):
        boxes = torch.cat(list(targets["boxes"]))
        return {"count": (outputs.mean() - boxes).abs().mean()}


class Doubled(Counted):
    """Counts twice while it is trained."""

    def loss(self, outputs, targets):
        return {"count": super().loss(outputs, targets)["count"] * (1 + self.training)}


class MoreInTraining(Counted):
    """Predicts another number while it is trained."""

    def predict(self, outputs):
        return super().predict(outputs + self.training)


class Dropping(Counted):
    """Drops some of its features in training, by a line of its own."""

    def forward(self, features, batch):
        kept = F.dropout(features[self.name], 0.5, self.training)
        return super().forward({self.name: kept}, batch)


class Everything(Counted):
    """One box around each whole picture, as sure as may be."""

    def forward(self, features, batch):
        return super().forward(features, batch), batch.frame.sizes

    def loss(self, outputs, targets):
        return super().loss(outputs[0], targets)

    def predict(self, outputs):
        found = []
        for height, width in self.sizes(outputs[1]):
            boxes = torch.tensor([[0.0, 0, width, height], [1, 1, width, height]])
            labels, scores = torch.tensor([0, 2]), torch.tensor([1.0, 0.5])
            found.append({"boxes": boxes, "labels": labels, "scores": scores})
        return found

    def sizes(self, sizes):
        return sizes


class IntoThePadding(Everything):
    """A box that goes on into the padding."""

    def sizes(self, sizes):
        return [max(sizes)] * len(sizes)


class OverThePadding(Counted):
    """Averages over the padding, and declares that it sees nothing of it."""

    padding_reach = 0


class SeesACell(Counted):
    """Looks at the cells beside those of the image, and declares that."""

    padding_reach = 4

    def __init__(self, feature_info: dict[str, tuple[int, int]]) -> None:
        super().__init__(feature_info)
        channels, self.stride = feature_info[self.name]
        self.beside = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features, batch):
        seen = self.beside(features[self.name])
        return self.layer(pooled(seen, self.stride, batch.frame, 1).flatten(1)).squeeze(1)


class SeesMoreThanDeclared(SeesACell):
    """The same, but that it declares less."""

    padding_reach = 0


class BeyondTheImage(Everything):
    """A box that goes on beyond the image."""

    def sizes(self, sizes):
        return [(height, width + 1) for height, width in sizes]


class Shuffled(Everything):
    """The surest box comes last."""

    def predict(self, outputs):
        return [{key: v.flip(0) for key, v in p.items()} for p in super().predict(outputs)]


class Background(Everything):
    """Counts classes from 1."""

    def predict(self, outputs):
        return [{**p, "labels": p["labels"] + 1} for p in super().predict(outputs)]


class TurnedRound(Everything):
    """Boxes whose first corner is the last."""

    def predict(self, outputs):
        return [{**p, "boxes": p["boxes"].roll(2, dims=1)} for p in super().predict(outputs)]


class LostMask(Everything):
    """A mask for the first box only."""

    def predict(self, outputs):
        masks = [torch.zeros(1, *size, dtype=torch.bool) for size in outputs[1]]
        return [{**p, "masks": m} for p, m in zip(super().predict(outputs), masks, strict=True)]


class TooFew(Counted):
    """Predicts for the first image only."""

    def predict(self, outputs):
        return super().predict(outputs)[:1]


class OneMapOnly(Counted):
    """Takes for granted how a map is called."""

    def __init__(self, feature_info: dict[str, tuple[int, int]]) -> None:
        super().__init__({"stage4": feature_info["stage4"]})


class InItsPlace(Counted):
    """Puts another map in the place of the one that it was given."""

    def forward(self, features, batch):
        features[self.name] = features[self.name].relu()
        return super().forward(features, batch)


class Noting(Counted):
    """Leaves a note on the batch."""

    def forward(self, features, batch):
        outputs = super().forward(features, batch)
        batch.inputs["counted"] = outputs.detach()
        return outputs


class Moving(Counted):
    """Changes the truth that all heads have."""

    def loss(self, outputs, targets):
        for boxes in targets["boxes"]:
            boxes.add_(1)
        return super().loss(outputs, targets)


class Peeking(Counted):
    """Adds how many targets the batch has, whoever needs them."""

    def forward(self, features, batch):
        return super().forward(features, batch) + len(batch.targets.ragged)


class OutOfSight(Task):
    """Pictures that are not in [0, 1]."""

    phases = (Phase("supervised", trains=("layer", "head")),)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.head = nn.Linear(1, 1)

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"loss": self.head(self.layer(batch.images.mean(dim=(2, 3)))).square().mean()}

    def pictures(self, seed: int, examples: object) -> dict[str, Tensor]:
        return {"dark": torch.full((2, 3, 4, 4), -1.0)}


class Vector(Counted):
    """A loss for each sample."""

    def loss(self, outputs, targets):
        return {"count": outputs.square()}


class EachItsOwn(nn.Module):
    """A loss for each sample."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")


def recipe(generator: str) -> dict:
    """Return a recipe with a task that runs everywhere, but for what is wrong."""
    return {
        "recipe": "wrong",
        "task": {"name": generator},
        "data": {"name": "right"},
        "optimizers": {"layer": {"name": "Adam", "lr": 1e-3}},
        "train": {"steps": 4},
    }


class Dreams(Task):
    """A generator that learns to be dark."""

    phases = (Phase("dark", trains="layer"),)
    network: type[Blank] = Blank

    def __init__(self) -> None:
        super().__init__()
        self.layer = self.network((1, 4, 4))

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        return {"size": self.layer(step.randn(len(batch), 4)).square().mean()}


class CountingDreams(Dreams):
    """One that counts its calls."""

    network = Counting


class DicedDreams(Dreams):
    """One of first weights that no seed decides."""

    network = OwnDice


@hookimpl
def gvt_components() -> list[Component]:
    components = [
        ("generator", "right", Blank),
        ("generator", "right-exports", Exported),
        ("generator", "right-large", LargeOnly),
        ("generator", "docstring", NoDocstring),
        ("generator", "parameters", Undocumented),
        ("generator", "parameters-passed", PassesOn),
        ("generator", "parameters-typed", Untyped),
        ("generator", "parameters-unrecorded", Unrecorded),
        ("generator", "builds", DoesNotBuild),
        ("generator", "shapes", Transposed),
        ("generator", "gradients", Unused),
        ("generator", "bfloat16", OneDtype),
        ("generator", "state", HiddenState),
        ("generator", "resume", Counting),
        ("generator", "determinism", OwnDice),
        ("generator", "deep-copy", Closure),
        ("generator", "exports", ClaimsOnnx),
        ("generator", "accelerator", OnOneDevice),
        ("discriminator", "shapes", Column),
        ("backbone", "right", OnePlane),
        ("backbone", "shapes", WrongStride),
        ("backbone", "colours", ColourOnly),
        ("backbone", "odd-sizes", EvenOnly),
        ("backbone", "split", OnePart),
        ("backbone", "split-values", Rounded),
        ("backbone", "split-names", AnySplit),
        ("head", "right", Counted),
        ("head", "right-boxes", Everything),
        ("head", "right-dropout", Dropping),
        ("head", "modes", AnotherInTraining),
        ("head", "modes-values", Doubled),
        ("head", "modes-predictions", MoreInTraining),
        ("head", "right-padding", SeesACell),
        ("head", "padding", IntoThePadding),
        ("head", "padding-reach", OverThePadding),
        ("head", "padding-reach-convolved", SeesMoreThanDeclared),
        ("head", "shapes-beyond", BeyondTheImage),
        ("head", "shapes-order", Shuffled),
        ("head", "shapes-numbers", Background),
        ("head", "shapes-corners", TurnedRound),
        ("head", "shapes-masks", LostMask),
        ("head", "empty-targets", PerBox),
        ("head", "shapes", TooFew),
        ("head", "partners", OneMapOnly),
        ("head", "shapes-losses", Vector),
        ("head", "neighbour", InItsPlace),
        ("head", "right-exports", CountedTensors),
        ("head", "deployed", CountsOneMore),
        ("head", "deployed-keys", ReturnsMore),
        ("head", "exports-branching", Branching),
        ("head", "exports-format", OfNoFormat),
        ("head", "neighbour-noting", Noting),
        ("head", "neighbour-moving", Moving),
        ("head", "neighbour-peeking", Peeking),
        ("task", "right", Dreams),
        ("task", "shapes", OutOfSight),
        ("task", "counting", CountingDreams),
        ("task", "diced", DicedDreams),
        ("loss", "shapes", EachItsOwn),
        ("recipe", "right", recipe("right")),
        ("recipe", "runs", recipe("right") | {"optimizers": {"layer": {"name": "Adamm"}}}),
        ("recipe", "resume", recipe("counting")),
        ("recipe", "determinism", recipe("diced")),
    ]
    return [
        Component("generator", "summary", Blank),
        *(Component(kind, name, it, summary="Wrong") for kind, name, it in components),
    ]


@hookimpl
def gvt_run_started(run) -> None:
    Path(run.folder / "started").touch()
