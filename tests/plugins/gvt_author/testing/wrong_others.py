"""A plugin file of optimisers, transforms, exporters and others, named after what they break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torchvision import tv_tensors
from torchvision.transforms import v2

from gvt import ConfigError, Sample, Weighting
from gvt_registry import Component, hookimpl


class Descent(Optimizer):
    """Gradient descent with momentum; the base of the other optimisers.

    Args:
        params: Groups of parameters.
        lr: Learning rate.
    """

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    average = self.average(parameter)
                    parameter.sub_(self.rate(group) * average)

    def average(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        return state["average"].mul_(0.9).add_(parameter.grad)

    def rate(self, group: dict[str, Any]) -> float:
        return group["lr"]


class Split(Descent):
    """Splits each group into filters, matrices and the rest."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        groups = []
        for group in params:
            for ndim in range(5):
                some = [p for p in group["params"] if p.ndim == ndim]
                groups.append({"params": some})
        super().__init__(groups, lr)


class Joined(Descent):
    """Joins all groups to one."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__([p for group in params for p in group["params"]], lr)


class Partial(Descent):
    """Leaves a parameter out."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__([p for group in params for p in group["params"]][1:], lr)


def no_optimizer(params: Any) -> nn.Module:
    """Return something else.

    Args:
        params: Groups of parameters.
    """
    return nn.Identity()


class Fixed(Descent):
    """Has a learning rate of its own."""

    def rate(self, group: dict[str, Any]) -> float:
        return self.defaults["lr"]


class Lists(Descent):
    """Keeps a list for each parameter."""

    def average(self, parameter: Tensor) -> Tensor:
        self.state[parameter].setdefault("all", []).append(1)
        return parameter.grad


class Shared(Descent):
    """Keeps a number for all parameters."""

    def average(self, parameter: Tensor) -> Tensor:
        self.state["all"]["count"] = 1
        return parameter.grad


class Noisy(Descent):
    """Adds noise that comes from no seed."""

    def average(self, parameter: Tensor) -> Tensor:
        source = torch.Generator()
        source.seed()
        return parameter.grad + torch.randn(parameter.shape, generator=source)


class Forgets(Descent):
    """Keeps its momentum where no checkpoint sees it."""

    def average(self, parameter: Tensor) -> Tensor:
        if not hasattr(self, "averages"):
            self.averages: dict[Tensor, Tensor] = {}
        average = self.averages.setdefault(parameter, torch.zeros_like(parameter))
        return average.mul_(0.9).add_(parameter.grad)


def halving(optimizer: Optimizer, every: int = 5) -> LRScheduler:
    """Half of the learning rate at intervals.

    Args:
        optimizer: The optimiser.
        every: Interval in steps.
    """
    return LambdaLR(optimizer, lambda step: 0.5 ** (step // every))


def negative(optimizer: Optimizer) -> LRScheduler:
    """A learning rate that becomes negative.

    Args:
        optimizer: The optimiser.
    """
    return LambdaLR(optimizer, lambda step: 1 - step / 10)


def no_schedule(optimizer: Optimizer) -> Optimizer:
    """Return the optimiser itself.

    Args:
        optimizer: The optimiser.
    """
    return optimizer


def of_gradients(optimizer: Optimizer) -> LRScheduler:
    """A learning rate that depends on gradients.

    Args:
        optimizer: The optimiser.
    """
    parameter = optimizer.param_groups[0]["params"][0]
    return LambdaLR(optimizer, lambda step: 0.5 if parameter.grad is None else 1.0)


class Dim(v2.Transform):
    """Darken images.

    Args:
        most: Largest share of the light that is lost.
    """

    def __init__(self, most: float = 0.5) -> None:
        super().__init__()
        self.most = most

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"keep": 1 - self.most * float(torch.rand(()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not (isinstance(inpt, tv_tensors.Image) or type(inpt) is Tensor):
            return inpt
        return tv_tensors.wrap((inpt * params["keep"]).to(inpt.dtype), like=inpt)


class Brighter:
    """Take the brighter pixels of two samples of one size, for data without classes.

    Args:
        p: Probability that two samples are composed.
    """

    composes = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, sample: Sample, another: Callable[[], Sample]) -> Sample:
        if "class" in sample.targets:
            raise ConfigError("data.transforms: right-composing: two samples have two classes")
        if (
            float(torch.rand(())) >= self.p
            or (image := another().image).shape != sample.image.shape
        ):
            return sample
        return replace(sample, inputs={"image": image.maximum(sample.image)})


class OnlyInputs(Brighter):
    """Return a mapping in the place of a sample."""

    def __call__(self, sample: Sample, another: Callable[[], Sample]) -> Any:
        return super().__call__(sample, another).inputs


class OnlyImage:
    """Lose the targets."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {"image": sample["image"], "boxes": sample["boxes"], "labels": sample["labels"]}


class Grows(Dim):
    """Return numbers that are not finite."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        is_image = isinstance(inpt, tv_tensors.Image) or type(inpt) is Tensor
        return inpt / torch.zeros(()) if is_image else inpt


class Mixes:
    """Mix images and classes.

    Args:
        num_classes: Number of classes.
        share: Share of the second image.
    """

    mixes = True

    def __init__(self, num_classes: int, share: float = 0.3) -> None:
        self.num_classes, self.share, self.second = num_classes, share, share

    def __call__(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        shares = nn.functional.one_hot(classes, self.num_classes).float()
        return images, (1 - self.share) * shares + self.second * shares.roll(1, 0)


class MixesTwice(Mixes):
    """Mix to more than one class in all."""

    def __init__(self, num_classes: int, share: float = 0.3) -> None:
        super().__init__(num_classes, share)
        self.second = 1.0


class Unseeded(Dim):
    """Draw from no seed."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        source = torch.Generator()
        source.seed()
        return {"keep": float(torch.rand((), generator=source))}


class Closes(Dim):
    """Keep a function that cannot be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.keep = lambda: 0.5


class Saves:
    """Save the module itself."""

    suffix = ".pt"

    def export(self, deployed: Any, examples: Any, path: Path) -> None:
        torch.save(self.changed(deployed.module), path)

    def changed(self, module: Any) -> Any:
        return module

    def load(self, path: Path) -> Any:
        return torch.load(path, weights_only=False)


class SavesHalf(Saves):
    """Save weights that are changed."""

    def changed(self, module: Any) -> Any:
        with torch.no_grad():
            module.head.layer.bias.add_(1)
        return module

    def load(self, path: Path) -> Any:
        module = super().load(path)
        return lambda images: tuple(output + 1 for output in module(images))


class SavesNothing(Saves):
    """Write no file."""

    def export(self, deployed: Any, examples: Any, path: Path) -> None:
        pass


class Saliency:
    """The gradient of the score, times the image."""

    def __call__(self, task: Any, batch: Any, score: Any) -> dict[str, Tensor]:
        images = batch.images.requires_grad_()
        (gradient,) = torch.autograd.grad(score(batch).sum(), images)
        return {"image": (images * gradient).sum(dim=1).detach()}


class AllChannels(Saliency):
    """Does not add the channels."""

    def __call__(self, task: Any, batch: Any, score: Any) -> dict[str, Tensor]:
        relevance = super().__call__(task, batch, score)["image"]
        return {"image": relevance[:, None].expand(-1, 3, -1, -1)}


class Guesses(Saliency):
    """Add noise from no seed."""

    def __call__(self, task: Any, batch: Any, score: Any) -> dict[str, Tensor]:
        source = torch.Generator()
        source.seed()
        return {"image": torch.rand(4, 32, 32, generator=source)}


class LeavesGradients(Saliency):
    """Leaves gradients in the weights."""

    def __call__(self, task: Any, batch: Any, score: Any) -> dict[str, Tensor]:
        score(batch).sum().backward()
        return super().__call__(task, batch, score)


class Mirror(nn.Module):
    """A convolution, of any images.

    Args:
        image_shape: (C, H, W).
    """

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layer = nn.Conv2d(image_shape[0], 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


class OfPairs(Mirror):
    """Takes two vectors."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(7, 2)

    @staticmethod
    def gvt_inputs(count: int) -> tuple[Tensor, Tensor]:
        return torch.rand(count, 3), torch.rand(count, 4)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.layer(torch.cat([one, other], dim=1))


class Empty(Mirror):
    """Returns no tensor."""

    def forward(self, images: Tensor) -> str:
        return "nothing"


class Equal(Weighting):
    """Equal lengths for all gradients, with what weightings may have.

    Args:
        cosines_every: Unused.
    """

    uses_gradients = observes_losses = True

    def __init__(self, cosines_every: int | None = None) -> None:
        super().__init__(cosines_every)
        self.logs = nn.ParameterDict()
        self.register_buffer("seen", torch.zeros(()))

    def add_head(self, name: str) -> None:
        super().add_head(name)
        self.logs[name] = nn.Parameter(torch.zeros(()))

    def remove_head(self, name: str) -> None:
        super().remove_head(name)
        self.logs.pop(name)

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: loss * self.logs[head].exp() + self.seen for key, loss in losses.items()}

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        order = torch.rand(len(heads), generator=generator, dtype=gram.dtype)
        return order + self.seen / gram.diagonal().sqrt().clamp(min=1.0)

    def observe(self, losses: Any) -> None:
        self.seen += sum(losses.values())


class Columns(Equal):
    """Weights as a column."""

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        return super().weights(heads, gram, generator)[:, None]


class Divides(Equal):
    """Divides by the length of gradients that may be zero."""

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        return 1 / gram.diagonal().sqrt()


class Constant(Equal):
    """Losses without a gradient."""

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: loss.detach() for key, loss in super().forward(head, losses).items()}


class Appears(Equal):
    """Has a loss for a head without."""

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**losses, "more": self.logs[head]}


class Keeps(Equal):
    """Keeps what was learned for a head that is gone."""

    def remove_head(self, name: str) -> None:
        self.heads.remove(name)


class Draws(Equal):
    """Draws from torch's default generator, which differs between processes."""

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(len(heads))


class Counts(Equal):
    """Counts in a number."""

    calls = 0

    def observe(self, losses: Any) -> None:
        self.calls += 1

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        return gram.new_full((len(heads),), 1.0 + self.calls)


class Closed(Equal):
    """Keeps a function of itself."""

    def __init__(self, cosines_every: int | None = None) -> None:
        super().__init__(cosines_every)
        self.scale = lambda: self.seen

    def weights(self, heads: Any, gram: Tensor, generator: torch.Generator) -> Tensor:
        return gram.new_ones(len(heads)) * self.scale()


def no_weighting() -> nn.Module:
    """Build a module."""
    return nn.Identity()


COMPONENTS = {
    "weighting": {
        "right": Equal,
        "shapes": no_weighting,
        "shapes-columns": Columns,
        "shapes-zero": Divides,
        "shapes-constant": Constant,
        "shapes-appears": Appears,
        "shapes-keeps": Keeps,
        "determinism": Draws,
        "state": Counts,
        "deep-copy": Closed,
    },
    "optimizer": {
        "right": Descent,
        "right-split": Split,
        "shapes": no_optimizer,
        "shapes-joined": Joined,
        "shapes-partial": Partial,
        "learning-rate": Fixed,
        "state": Lists,
        "state-shared": Shared,
        "determinism": Noisy,
        "resume": Forgets,
    },
    "schedule": {
        "right": halving,
        "shapes": no_schedule,
        "shapes-negative": negative,
        "determinism": of_gradients,
    },
    "transform": {
        "right": Dim,
        "right-mixing": Mixes,
        "right-composing": Brighter,
        "shapes": OnlyImage,
        "shapes-composed": OnlyInputs,
        "shapes-finite": Grows,
        "shapes-shares": MixesTwice,
        "determinism": Unseeded,
        "workers": Closes,
    },
    "exporter": {"right": Saves, "shapes": SavesHalf, "shapes-nothing": SavesNothing},
    "explainer": {
        "right": Saliency,
        "shapes": AllChannels,
        "determinism": Guesses,
        "state": LeavesGradients,
    },
    "network": {"right": Mirror, "right-pairs": OfPairs, "shapes": Empty},
}


@hookimpl
def gvt_components() -> list[Component]:
    return [
        Component(kind, name, f"{__name__}:{target.__name__}", summary="One that is tried")
        for kind, targets in COMPONENTS.items()
        for name, target in targets.items()
    ]
