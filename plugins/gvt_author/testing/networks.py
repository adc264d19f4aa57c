"""Rules on the inputs and outputs of models, heads, tasks and losses."""

from __future__ import annotations

from torch import nn

from gvt import Placement
from gvt.device import available
from gvt_author.testing.check import Failed, Skipped, error_line, rule
from gvt_author.testing.shapes import complaint
from gvt_author.testing.training import check_finite, phases
from gvt_author.testing.trial import build, tried, usual_shape
from gvt_registry import Offer

NETWORKS = ("generator", "discriminator", "backbone")
MODULES = (*NETWORKS, "network", "head", "task", "loss")
"""The kinds of component that are trained in a task."""

OTHERS = ("weighting", "optimizer", "schedule", "transform", "exporter", "explainer")
"""The kinds of component that work on tasks, their losses or samples."""


@rule(*MODULES, "dataset", "metric", *OTHERS)
def builds(offer: Offer) -> None:
    """It can be built from its defaults and the parameters that gvt passes."""
    try:
        built = build(offer)
    except Skipped:
        raise
    except Exception as error:
        raise Failed(
            f"building it from its defaults raised {error_line(error)}; fix the defaults, or "
            "return parameters that work from a static method gvt_example(folder)"
        ) from error
    kind = offer.component.kind
    if kind in MODULES and kind != "loss" and not isinstance(built, nn.Module):
        raise Failed(f"it is a {type(built).__name__}; a {kind} has to be a torch.nn.Module")


@rule(*MODULES)
def accelerator(offer: Offer) -> None:
    """It can be moved to an accelerator, and runs forward and backward there."""
    device = available()[0]
    if device == "cpu":
        raise Skipped("this machine has no accelerator")
    trial = tried(offer)
    placement = Placement.resolve(device, "float32")
    placement.place(trial.task)
    for _, losses in phases(trial.task, trial.batch(placement), placement):
        check_finite(losses, f"on {device}")


@rule(*MODULES)
def shapes(offer: Offer) -> None:
    """Its declarations and outputs have the form and shape of the interface."""
    if problem := complaint(offer.component.kind, tried(offer)):
        raise Failed(problem)


@rule(*NETWORKS)
def colours(offer: Offer) -> None:
    """It takes grey and colour images, or raises a ValueError for one of them."""
    channels, height, width = usual_shape(offer)
    _other_shape(offer, (1 if channels > 1 else 3, height, width))


@rule(*NETWORKS, "head")
def odd_sizes(offer: Offer) -> None:
    """It takes images with odd sides, or raises a ValueError for them."""
    channels, height, width = usual_shape(offer)
    _other_shape(offer, (channels, height + 5 - height % 2, width + 13 - width % 2))


def _other_shape(offer: Offer, shape: tuple[int, int, int]) -> None:
    kind = offer.component.kind
    if "image" not in getattr(offer.load(), "reads", ("image",)):
        raise Skipped("it reads no images")
    if complaint(kind, tried(offer)):
        raise Skipped("it fails for images of the usual shape; see the rule 'shapes'")
    try:
        problem = complaint(kind, tried(offer, shape))
    except ValueError:
        return
    except Skipped as skipped:
        if isinstance(skipped.__cause__, ValueError):
            return
        if skipped.__cause__ is None:
            raise
        problem = f"building it raised {error_line(skipped.__cause__)}"
    except Exception as error:
        problem = f"it raised {error_line(error)}"
    if problem:
        raise Failed(
            f"images of {_written(shape)}: {problem}; support them, or raise a ValueError that "
            "states the supported shapes"
        )


def _written(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}x{width} pixels and {channels} channel{'s' if channels > 1 else ''}"
