"""Rules on components combined with all others that are installed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch

from gvt import (
    Backbone,
    Batch,
    ConfigError,
    DataInfo,
    Frame,
    Head,
    MultiHead,
    Task,
    evaluate,
    seed_everything,
)
from gvt.data import Streamed
from gvt.fields import field_of
from gvt_author.testing.check import Failed, Skipped, error_line, rule
from gvt_author.testing.data import samples
from gvt_author.testing.stand_ins import (
    TARGETS,
    Pictures,
    Shape,
    TinyBackbone,
    batch_of,
    own_targets,
)
from gvt_author.testing.training import check_finite, phases
from gvt_author.testing.trial import CPU, SHAPE, build, built, own_inputs, usual_shape
from gvt_registry import Offer, default_registry


@rule("backbone", name="partners")
def heads(offer: Offer) -> None:
    """Every installed head trains and predicts on it, or raises a ValueError."""
    built(offer)
    others = [other for other in default_registry().offers("backbone") if other != offer]
    for head in default_registry().offers("head"):
        problem = _problem(offer, head)
        # A head that also fails on other backbones is wrong itself.
        if problem and not any(_problem(other, head) for other in others):
            raise Failed(f"together with head:{head.component.name} {problem}")


@rule("head", name="partners")
def backbones(offer: Offer) -> None:
    """It trains and predicts on every installed backbone, or raises a ValueError."""
    built(offer)
    others = [other for other in default_registry().offers("head") if other != offer]
    for backbone in default_registry().offers("backbone"):
        problem = _problem(backbone, offer)
        if problem and not any(_problem(backbone, other) for other in others):
            raise Failed(f"together with backbone:{backbone.component.name} {problem}")


@rule("dataset", name="partners")
def learners(offer: Offer) -> None:
    """Every installed head whose targets its samples have learns from it and can be evaluated."""
    dataset = built(offer)
    try:
        samples(offer)
    except Failed as failed:
        raise Skipped("its samples are wrong; see the rule 'shapes'") from failed
    indices = torch.arange(min(4, len(dataset)))
    batch = next(Streamed(dataset, CPU).batches([(0, indices)]))
    if "image" not in batch.inputs:
        raise Skipped("its samples have no images for a backbone of the kit")
    backbone = TinyBackbone((batch.images.shape[1], *batch.frame.canvas))
    facts = {"feature_info": backbone.feature_info, **DataInfo.of(dataset).injected_classes}
    for partner in default_registry().offers("head"):
        if _alone(partner):
            continue  # it is broken itself
        try:
            head: Head = build(partner, facts=facts)
        except (Skipped, ValueError):
            continue
        if _carries(batch, head.needs) and (problem := _trying(backbone, head, batch)):
            raise Failed(f"together with head:{partner.component.name} {problem}")


@cache
def _problem(backbone: Offer, head: Offer) -> str:
    """Return what goes wrong if a head is trained on a backbone; empty if nothing does."""
    seed_everything(0)
    try:
        below: Backbone = built(backbone)
    except Skipped:
        return ""  # it is broken itself, which another rule reports
    return "" if _alone(head) else _above(below, head, usual_shape(backbone))


@cache
def _alone(head: Offer) -> str:
    """Return what goes wrong with a head on the kit's own backbone; empty if nothing does."""
    return _above(TinyBackbone(SHAPE), head, SHAPE)


def _above(backbone: Backbone, head: Offer, shape: Shape) -> str:
    try:
        above: Head = build(head, facts={"feature_info": backbone.feature_info})
    except (Skipped, ValueError):
        return ""  # refused, or without parameters to build it with
    except Exception as error:
        return f"building the head raised {error_line(error)}"
    keys = tuple(above.needs) or TARGETS
    made = own_targets(above)
    if not set(keys) <= {*TARGETS, *made(0)}:
        return ""
    batch = batch_of(Pictures(shape, keys, own=made), CPU)
    if "image" not in (reads := getattr(backbone, "reads", ("image",))):
        if any(field_of(key).is_spatial for key in keys):
            return ""  # it needs an image plane
        inputs = dict(zip(reads, own_inputs(backbone, batch), strict=True))
        batch = replace(batch, inputs=inputs, frame=Frame())
    return _trying(backbone, above, batch)


def _carries(batch: Batch, keys: tuple[str, ...]) -> bool:
    assert batch.targets is not None
    rows = batch.targets.rows_with(keys, len(batch))
    return bool(keys) and (rows is None or len(rows) > 0)


def _trying(backbone: Backbone, head: Head, batch: Batch) -> str:
    """Train and evaluate a head on a backbone once, and return what went wrong.

    A `ConfigError` is accepted: some maps can only be refused when they are computed.
    """
    task: Task = MultiHead(backbone, {"head": head})
    try:
        task.train()
        for _, losses in phases(task, batch):
            check_finite(losses, "in train mode")
        evaluate(task, [batch])
    except Failed as failed:
        return f"its {failed}"
    except ConfigError:
        return ""
    except Exception as error:
        return f"it raised {error_line(error)}"
    return ""
