"""Build a component of any kind, and a task that trains it on generated images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Batch, MultiHead, Placement, Step, Task, seed_everything
from gvt.config import networks_of, signature_of
from gvt_author.testing.check import Skipped
from gvt_author.testing.stand_ins import (
    CLASSES,
    TARGETS,
    Judged,
    Pictures,
    Probe,
    Shape,
    TinyBackbone,
    TinyDiscriminator,
    TinyGenerator,
    TinyHead,
    batch_of,
    own_targets,
)
from gvt_registry import Offer, default_registry

CPU = Placement(torch.device("cpu"))
SHAPE: Shape = (3, 32, 32)
"""(C, H, W) of the images that a component is tried on, unless its example has another."""

_TINY: dict[str, Callable[[Shape], nn.Module]] = {
    "generator": TinyGenerator,
    "discriminator": TinyDiscriminator,
    "backbone": TinyBackbone,
}

_folders: list[TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def example(target: Any) -> Mapping[str, Any]:
    """Return the parameters from the static method `gvt_example(folder)` of a component.

    The method may write files into the folder. Without it there are no parameters.
    """
    write = getattr(target, "gvt_example", None)
    if write is None:
        return {}
    _folders.append(TemporaryDirectory(prefix="gvt-example-"))
    parameters: Mapping[str, Any] = write(Path(_folders[-1].name))
    return parameters


def usual_shape(offer: Offer) -> Shape:
    """Return the (C, H, W) that a component is tried on: that of its example, if there is one."""
    shape: Shape = tuple(example(offer.load()).get("image_shape", SHAPE))
    return shape


def build(offer: Offer, shape: Shape | None = None, facts: Mapping[str, Any] | None = None) -> Any:
    """Build a component from its defaults, its example, and the parameters that gvt passes.

    Args:
        offer: The component.
        shape: (C, H, W) of the images that it is built for; the usual one by default.
        facts: Parameters that gvt passes, instead of the usual ones: `feature_info`, `num_classes`.

    Raises:
        Skipped: If a required parameter is in none of these.
    """
    target = offer.load()
    shape = shape or usual_shape(offer)
    values = {**_facts(shape), **example(target), "image_shape": shape, **(facts or {})}
    if offer.component.kind == "dataset":  # it is the source of the other parameters
        values = {"split": "train", **example(target)}
    declared, takes_any = signature_of(target)
    if offer.component.kind == "task":
        values |= _networks(target, values, shape)
    missing = [n for n, p in declared.items() if p.required and n not in values]
    if missing:
        raise Skipped(
            f"there are no values to try {', '.join(missing)} with; return them from a static "
            "method gvt_example(folder)"
        )
    parameters = {n: v for n, v in values.items() if n in declared}
    return target(**parameters, **(example(target) if takes_any else {}))


def _networks(
    task: Callable[..., Any], values: Mapping[str, Any], shape: Shape
) -> Iterator[tuple[str, Any]]:
    """Yield the networks of a task by name: those that its example names, or tiny ones."""
    declared, _ = signature_of(task)
    for name, kind in networks_of("task", task).items():
        settings = values.get(name)
        if isinstance(settings, Mapping):
            parameters = dict(settings)
            offer = default_registry().find(kind, parameters.pop("name"))
            yield name, build(offer, shape, parameters)
        elif settings is None and kind in _TINY and declared[name].required:
            yield name, _TINY[kind](shape)


def built(offer: Offer, shape: Shape | None = None) -> Any:
    """Build a component with `build`, for a rule that does not check the building.

    Raises:
        Skipped: If it cannot be built, which the rule `builds` reports.
    """
    try:
        return build(offer, shape)
    except Skipped:
        raise
    except Exception as error:
        raise Skipped("it does not build; see the rule 'builds'") from error


def _facts(shape: Shape) -> dict[str, Any]:
    backbone = TinyBackbone(shape)
    parameters = dict(backbone.named_parameters())
    return {
        "split": "train",
        "image_shape": shape,
        "num_classes": CLASSES,
        "background": False,
        "class_counts": (4,) * CLASSES,
        "data_range": (0.0, 1.0),
        "feature_info": backbone.feature_info,
        "backbone": backbone,
        "heads": {"tiny": TinyHead(backbone.feature_info)},
        "generator": TinyGenerator(shape),
        "discriminator": TinyDiscriminator(shape),
        "params": [{"params": [*parameters.values()], "param_names": [*parameters]}],
        "optimizer": torch.optim.SGD(parameters.values(), lr=0.1),
    }


@dataclass(frozen=True)
class Trial:
    """A component in a task that trains it.

    Attributes:
        component: The component.
        task: The task that trains it; the component itself if it is a task.
        shape: (C, H, W) of the images.
        keys: Keys of the targets of the images.
    """

    component: Any
    task: Task
    shape: Shape
    keys: tuple[str, ...]

    def batch(self, placement: Placement = CPU, *, empty: bool = False) -> Batch:
        """Return a batch of generated images."""
        return batch_of(self.pictures(empty=empty), placement)

    def pictures(self, *, empty: bool = False, sizes: Sequence[tuple[int, int]] = ()) -> Pictures:
        """Return generated images with the targets of the component."""
        return Pictures(self.shape, self.keys, empty, sizes, own_targets(self.component))

    @property
    def own(self) -> dict[str, nn.Parameter]:
        """The trainable parameters of the component by name; those of the task if it has none."""
        module = self.component if isinstance(self.component, nn.Module) else self.task
        owner = module if any(True for _ in module.parameters()) else self.task
        return {n: p for n, p in owner.named_parameters() if p.requires_grad}


def tried(offer: Offer, shape: Shape | None = None, seed: int = 0) -> Trial:
    """Build a component and a task for it, with weights from a seed.

    Raises:
        Skipped: If it cannot be built, which the rule `builds` reports, or needs targets that the
            kit cannot generate.
    """
    seed_everything(seed)
    component = built(offer, shape)
    # Some components support one size only, and declare it.
    shape = tuple(getattr(component, "image_shape", None) or shape or usual_shape(offer))
    keys = tuple(getattr(component, "needs", ())) or TARGETS
    unknown = [key for key in keys if key not in {*TARGETS, *own_targets(component)(0)}]
    if unknown:
        raise Skipped(
            f"it needs the targets {', '.join(unknown)}, which the kit cannot generate; return "
            "those of an image from a static method gvt_targets(index)"
        )
    task = _task(offer.component.kind, component, shape)
    task.register_forward_hook(_check_losses)
    return Trial(component, task, shape, keys)


class NotScalar(Skipped):
    """Raised if the losses of a task are not scalars by name, which the rule `shapes` reports."""


def _check_losses(task: nn.Module, arguments: tuple[Any, ...], losses: Any) -> None:
    if not isinstance(losses, dict):
        raise NotScalar(f"its losses came as a {type(losses).__name__}, expected a dict by name")
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim:
            came = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise NotScalar(f"loss {name!r} came as {came}, expected a tensor (); take its mean")


def _task(kind: str, component: Any, shape: Shape) -> Task:
    if kind == "task":
        task: Task = component
        return task
    if kind == "head":
        return MultiHead(TinyBackbone(shape), {"head": component})
    if kind == "loss":
        return Probe(Judged(component, shape[0]), _loss)
    judges: dict[str, Callable[[Any, Batch, Step], Tensor]] = {
        "generator": _of_latents,
        "discriminator": _of_images,
        "backbone": _of_inputs,
        "network": _of_inputs,
    }
    return Probe(component, judges[kind])


def _of_latents(network: Any, batch: Batch, step: Step) -> Tensor:
    return _size(network(step.randn(len(batch), *network.latent_shape)))


def _of_images(network: Any, batch: Batch, step: Step) -> Tensor:
    return _size(network(batch.images))


def _of_inputs(network: Any, batch: Batch, step: Step) -> Tensor:
    return _size(network(*own_inputs(network, batch)))


def own_inputs(network: Any, batch: Batch) -> tuple[Any, ...]:
    """Return the inputs that a network is tried on, on the device of a batch.

    They come from its static method `gvt_inputs(count)`; without it, it gets images.
    """
    if not hasattr(network, "gvt_inputs"):
        return (batch.images,)
    return tuple(value.to(batch.images.device) for value in network.gvt_inputs(len(batch)))


def _loss(network: Any, batch: Batch, step: Step) -> Tensor:
    assert batch.targets is not None
    value: Tensor = network(batch.images, batch.targets["class"])
    return value


def _size(outputs: Any) -> Tensor:
    """Return a scalar that depends on every tensor of a tree."""
    sizes = [leaf.float().square().mean() for _, leaf in leaves(outputs)]
    if not sizes:
        raise Skipped("it returns no tensor; see the rule 'shapes'")
    return torch.stack(sizes).sum()


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a tree of dicts, lists and tuples, each with its path."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{name}/{key}".strip("/"))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{name}/{index}".strip("/"))
