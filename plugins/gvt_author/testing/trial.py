"""Putting a component of any kind where it can be tried: into a task, on made-up pictures."""

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
from gvt.config import signature_of
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
from gvt_registry import Offer

CPU = Placement(torch.device("cpu"))
SHAPE: Shape = (3, 32, 32)
"""(C, H, W) of the pictures that a component is tried on, unless its example says another."""

_folders: list[TemporaryDirectory[str]] = []  # each is removed when this process ends


@cache
def example(target: Any) -> Mapping[str, Any]:
    """Return parameters that a component says it can be tried with, none if it says nothing.

    It says so by a static method `gvt_example(folder)`, which may write files into the folder.
    """
    write = getattr(target, "gvt_example", None)
    if write is None:
        return {}
    _folders.append(TemporaryDirectory(prefix="gvt-example-"))
    parameters: Mapping[str, Any] = write(Path(_folders[-1].name))
    return parameters


def usual_shape(offer: Offer) -> Shape:
    """Return the (C, H, W) that a component is tried on: that of its example, if it gives one."""
    shape: Shape = tuple(example(offer.load()).get("image_shape", SHAPE))
    return shape


def build(offer: Offer, shape: Shape | None = None, facts: Mapping[str, Any] | None = None) -> Any:
    """Build a component from its defaults, its example, and what gvt fills in.

    Args:
        offer: The component.
        shape: (C, H, W) of the images that it is built for; the usual one unless given.
        facts: What gvt would fill in instead of the usual: `feature_info`, `num_classes`.

    Raises:
        Skipped: If it has a required parameter that neither of them gives.
    """
    target = offer.load()
    shape = shape or usual_shape(offer)
    known = {**_facts(shape), **example(target), "image_shape": shape, **(facts or {})}
    if offer.component.kind == "dataset":  # whose facts these are
        known = {"split": "train", **example(target)}
    declared, takes_any = signature_of(target)
    missing = [n for n, p in declared.items() if p.required and n not in known]
    if missing:
        raise Skipped(
            f"nobody says what to try {', '.join(missing)} with; a static method "
            "gvt_example(folder) that returns such parameters would"
        )
    given = {n: v for n, v in known.items() if n in declared}
    return target(**given, **(example(target) if takes_any else {}))


def built(offer: Offer, shape: Shape | None = None) -> Any:
    """Build a component as `build` does, for a rule that is about something else.

    Raises:
        Skipped: If it cannot be built, which the rule `builds` is about.
    """
    try:
        return build(offer, shape)
    except Skipped:
        raise
    except Exception as error:
        raise Skipped("it does not build; see the rule 'builds'") from error


def _facts(shape: Shape) -> dict[str, Any]:
    backbone = TinyBackbone(shape)
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
    }


@dataclass(frozen=True)
class Trial:
    """A component in a task that trains it.

    Attributes:
        component: What was built.
        task: What trains it; the component itself where it is a task.
        shape: (C, H, W) of the pictures.
        keys: The targets of the pictures.
    """

    component: Any
    task: Task
    shape: Shape
    keys: tuple[str, ...]

    def batch(self, placement: Placement = CPU, *, empty: bool = False) -> Batch:
        """Return a batch of made-up pictures."""
        return batch_of(self.pictures(empty=empty), placement)

    def pictures(self, *, empty: bool = False, sizes: Sequence[tuple[int, int]] = ()) -> Pictures:
        """Return made-up pictures with what the component learns from."""
        return Pictures(self.shape, self.keys, empty, sizes, own_targets(self.component))

    @property
    def own(self) -> dict[str, nn.Parameter]:
        """The trainable parameters that are the component's, by name; a loss has the task's."""
        module = self.component if isinstance(self.component, nn.Module) else self.task
        found = module if any(True for _ in module.parameters()) else self.task
        return {n: p for n, p in found.named_parameters() if p.requires_grad}


def tried(offer: Offer, shape: Shape | None = None, seed: int = 0) -> Trial:
    """Return a component in a task, its weights as a seed makes them.

    Raises:
        Skipped: If it cannot be built, which the rule `builds` is about.
    """
    seed_everything(seed)
    component = built(offer, shape)
    # Some have one size only, and say so.
    shape = tuple(getattr(component, "image_shape", None) or shape or usual_shape(offer))
    keys = tuple(getattr(component, "needs", ())) or TARGETS
    unknown = [key for key in keys if key not in {*TARGETS, *own_targets(component)(0)}]
    if unknown:
        raise Skipped(
            f"it needs the targets {', '.join(unknown)}, which nobody can make up; a static method "
            "gvt_targets(index) that returns those of a picture would"
        )
    task = _task(offer.component.kind, component, shape)
    task.register_forward_hook(_check_losses)
    return Trial(component, task, shape, keys)


class NotScalar(Skipped):
    """A task's losses are no scalars by name, which the rule `shapes` is about."""


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
        "backbone": _of_images,
    }
    return Probe(component, judges[kind])


def _of_latents(network: Any, batch: Batch, step: Step) -> Tensor:
    return _size(network(step.randn(len(batch), *network.latent_shape)))


def _of_images(network: Any, batch: Batch, step: Step) -> Tensor:
    return _size(network(batch.images))


def _loss(network: Any, batch: Batch, step: Step) -> Tensor:
    assert batch.targets is not None
    value: Tensor = network(batch.images, batch.targets["class"])
    return value


def _size(outputs: Any) -> Tensor:
    """Return a number that everything in a tree of tensors has a part in."""
    return torch.stack([leaf.float().square().mean() for _, leaf in leaves(outputs)]).sum()


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
