"""Rules on optimisers and schedules, which train a small classifier."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from gvt import ConfigError, MultiHead, OptimizerConfig, Trainer, seed_everything
from gvt.loop import capture
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.stand_ins import TinyBackbone, TinyHead
from gvt_author.testing.training import STEPS, different, fitted, listed
from gvt_author.testing.trial import SHAPE, Trial, built, example
from gvt_registry import Offer

RATES = {"heads": 0.5}
"""Factors of the learning rate, so that there are two groups of parameters."""

UNSAVED = "which a checkpoint cannot hold"
"""Part of the message for state that is neither a tensor nor a number."""


@rule("optimizer", name="shapes")
def groups(offer: Offer) -> None:
    """It is an optimiser of the given parameters, and each of its groups has a learning rate."""
    optimizer: Any = built(offer)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Failed(f"it is a {type(optimizer).__name__}; it has to be a torch.optim.Optimizer")
    for number, group in enumerate(optimizer.param_groups):
        if not isinstance(group.get("lr"), float | int | Tensor):
            raise Failed(f"group {number} has no learning rate 'lr', which a schedule sets")
    with TemporaryDirectory(prefix="gvt-groups-") as folder:
        try:
            _trained(offer, Path(folder), steps=1)
        except ConfigError as error:
            if UNSAVED not in str(error):
                raise Failed(str(error)) from error


@rule("optimizer")
def learning_rate(offer: Offer) -> None:
    """It moves parameters by the learning rate of their group, and only those with a gradient."""
    optimizer: Any = _valid(offer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    idle = parameters[::2]
    for lr, moves in ((0.0, ()), (0.1, parameters[1::2])):
        for group in optimizer.param_groups:
            group["lr"] = lr
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        for parameter in idle if lr else ():
            parameter.grad = None
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step()
        moved = [p for p, b in zip(parameters, before, strict=True) if not torch.equal(p, b)]
        if not all(parameter.isfinite().all() for parameter in parameters):
            raise Failed("a parameter is not finite after a step")
        if [*map(id, moved)] != [*map(id, moves)]:
            raise Failed(
                f"with lr {lr} in every group and {len(idle) if lr else 0} of {len(parameters)} "
                f"parameters without a gradient, a step moved {len(moved)} parameters, expected "
                f"{len(moves)}; read group['lr'] in step(), and skip those whose grad is None"
            )


@rule("optimizer", name="state")
def kept(offer: Offer) -> None:
    """Its state is made of tensors and numbers, by parameter."""
    with TemporaryDirectory(prefix="gvt-state-") as folder:
        try:
            trainer = _trained(offer, Path(folder), steps=1)
        except ConfigError as error:
            if UNSAVED in str(error):
                raise Failed(str(error)) from error
            raise Skipped("it does not fit; see the rule 'shapes'") from error
    odd = [key for key in trainer.optimizers["model"].torch.state if not isinstance(key, Tensor)]
    if odd:
        raise Failed(f"its state has the key {odd[0]!r}; a checkpoint keeps state of parameters")


@rule("optimizer", name="determinism")
def same_steps(offer: Offer) -> None:
    """The same seed gives bitwise the same steps."""
    with TemporaryDirectory(prefix="gvt-seed-") as folder:
        one, other = (capture(_right(offer, Path(folder), steps=3))[1] for _ in range(2))
    if names := different(one, other):
        raise Failed(f"{listed(names)} differs after the same steps; draw no random numbers")


@rule("optimizer", name="resume")
def continued(offer: Offer) -> None:
    """Ten steps end bitwise like five steps, a checkpoint, and five more."""
    with TemporaryDirectory(prefix="gvt-resume-") as folder:
        whole = capture(_right(offer, Path(folder)))[1]
        middle = Path(folder) / f"step_{STEPS // 2:08d}.safetensors"
        halves = capture(_right(offer, Path(folder) / "again", middle))[1]
        again = capture(_right(offer, Path(folder)))[1] if different(whole, halves) else whole
    if different(whole, again):
        raise Skipped("its steps are random; see the rule 'determinism'")
    if names := different(whole, halves):
        raise Failed(
            f"{listed(names)} differs in a run that was resumed; keep all state in "
            "self.state[parameter]"
        )


@rule("schedule", name="shapes")
def rates(offer: Offer) -> None:
    """It is a torch LRScheduler, and its learning rates are finite and not negative."""
    schedule: Any = built(offer)
    if not isinstance(schedule, LRScheduler):
        raise Failed(f"it is a {type(schedule).__name__}; it has to be an LRScheduler of torch")
    for step, rate in enumerate(_rates(schedule)):
        if not (math.isfinite(rate) and rate >= 0):
            raise Failed(f"the learning rate of step {step} is {rate}")


@rule("schedule", name="determinism")
def of_the_step(offer: Offer) -> None:
    """Its learning rates follow from the number of the step alone."""
    several = []
    for seed in range(2):
        seed_everything(seed)
        schedule: Any = built(offer)
        if not isinstance(schedule, LRScheduler):
            raise Skipped("it is not a schedule; see the rule 'shapes'")
        several.append(_rates(schedule, trains=seed == 0))
    for step, (one, other) in enumerate(zip(*several, strict=True)):
        if one != other:
            raise Failed(
                f"the learning rate of step {step} is {one:.3g} in one run and {other:.3g} in "
                "another; it must not depend on random numbers, gradients or losses"
            )


def _rates(schedule: LRScheduler, trains: bool = True) -> list[float]:
    """Return the learning rates of some steps; without training, as a resumed run steps it."""
    rates = []
    optimizer = schedule.optimizer
    with warnings.catch_warnings(action="ignore"):  # torch expects a step of the optimiser
        for _ in range(2 * STEPS):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            for parameter in optimizer.param_groups[0]["params"] if trains else ():
                parameter.grad = torch.randn_like(parameter)
            if trains:
                optimizer.step()
            schedule.step()
    return rates


def _valid(offer: Offer) -> Any:
    optimizer = built(offer)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Skipped("it is not an optimiser; see the rule 'shapes'")
    return optimizer


def _trained(
    offer: Offer, folder: Path, start: Path | None = None, steps: int = STEPS, seed: int = 0
) -> Trainer:
    """Train a classifier with an optimiser, by its name."""
    seed_everything(seed)
    backbone = TinyBackbone(SHAPE)
    task = MultiHead(backbone, {"head": TinyHead(backbone.feature_info)})
    settings = {"name": offer.component.name, "rates": RATES, **example(offer.load())}
    config = OptimizerConfig.model_validate(settings)
    return fitted(Trial(task, task, SHAPE, ("class",)), folder, start, steps, config)


def _right(offer: Offer, folder: Path, start: Path | None = None, steps: int = STEPS) -> Trainer:
    """Train with an optimiser; its seed is another one if it continues.

    Raises:
        Skipped: If the optimiser does not fit, which other rules report.
    """
    try:
        return _trained(offer, folder, start, steps, seed=int(start is not None))
    except ConfigError as error:
        text = "its state cannot be saved" if UNSAVED in str(error) else "it does not fit"
        raise Skipped(f"{text}; see the rules 'shapes' and 'state'") from error
