"""Rules on training: gradients, modes, precision, state, determinism and resuming."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from gvt import Batch, Placement, evaluate, seed_everything
from gvt.checkpoint import load, load_weights, save
from gvt.loop import capture
from gvt_author.testing.check import Failed, rule
from gvt_author.testing.networks import MODULES
from gvt_author.testing.training import (
    STEPS,
    check_finite,
    different,
    fitted,
    in_mode,
    listed,
    observed,
    phases,
    predictions,
)
from gvt_author.testing.trial import CPU, Trial, tried
from gvt_registry import Offer


@rule(*MODULES)
def gradients(offer: Offer) -> None:
    """Losses are finite, and every parameter that a phase trains has a gradient."""
    trial = tried(offer)
    names = {id(p): name for name, p in trial.own.items()}
    trained = {
        id(p)
        for phase in trial.task.phases
        for module in phase.trained
        for p in trial.task.get_submodule(module).parameters()
    }
    missing = {key: name for key, name in names.items() if key in trained}
    trial.task.train()
    for phase, losses in phases(trial.task, trial.batch()):
        check_finite(losses, "in train mode")
        prefixes = tuple(f"{m}." for m in phase.trained)
        for name, parameter in trial.task.named_parameters():
            if parameter.grad is not None and name.startswith(prefixes):
                missing.pop(id(parameter), None)
                if not parameter.grad.isfinite().all():
                    raise Failed(f"the gradient of {name!r} is not finite in phase {phase.name!r}")
    if missing:
        raise Failed(
            f"no loss has a gradient to {listed(list(missing.values()))}; use it, remove it, or "
            "freeze it with requires_grad_(False)"
        )


@rule("head", "task", "loss")
def modes(offer: Offer) -> None:
    """Train and eval mode have losses of the same names, finite in both, and both predict."""
    trial = tried(offer)
    batch = trial.batch()
    names: dict[bool, set[str]] = {}
    for training in (True, False):
        trial.task.train(training)
        names[training] = set()
        for phase, losses in phases(trial.task, batch):
            if not training:
                check_finite(losses, "in eval mode")
            names[training] |= {f"{phase.name}/{name}" for name in losses}
    if names[True] != names[False]:
        odd = sorted(names[True] ^ names[False])
        raise Failed(
            f"{listed(odd)}: a loss of one mode only; compute the same losses in train and eval"
        )
    if offer.component.kind == "head" and (odd := _of_the_mode(trial, batch)):
        raise Failed(
            f"{listed(odd)} differs between train and eval mode; the result of a head must not "
            "depend on the mode, except for batch norm and dropout"
        )


def _of_the_mode(trial: Trial, batch: Batch) -> list[str]:
    """Return the names of losses and predictions that depend on the mode."""
    train, eval_ = (in_mode(trial, batch, training) for training in (True, False))
    odd = [
        n for n in (*train, *eval_) if n not in train or n not in eval_ or _apart(train, eval_, n)
    ]
    if not odd:
        return []
    # Random numbers in train mode only are a dropout that the head implements itself.
    is_random = different(train, in_mode(trial, batch, True, seed=1))
    is_constant = not different(eval_, in_mode(trial, batch, False, seed=1))
    return [] if is_random and is_constant else odd


def _apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str) -> bool:
    """Return whether two tensors differ by more than rounding, such as that of another kernel."""
    pair = one[name].float(), other[name].float()
    return pair[0].shape != pair[1].shape or not torch.allclose(*pair, 1e-4, 1e-5, equal_nan=True)


@rule("head", "task")
def empty_targets(offer: Offer) -> None:
    """A batch without any box, mask or class can be evaluated, and its losses are finite."""
    trial = tried(offer)
    for phase, losses in phases(trial.task, trial.batch(empty=True)):
        check_finite(losses, "for images without any target")
        for name, parameter in trial.task.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                raise Failed(
                    f"the gradient of {name!r} in phase {phase.name!r} is not finite for images "
                    "without any target"
                )
    if offer.component.kind == "head":
        evaluate(trial.task, [trial.batch(empty=True)])


@rule(*MODULES)
def bfloat16(offer: Offer) -> None:
    """It trains and predicts under autocast in bfloat16."""
    trial = tried(offer)
    half = Placement(CPU.device, "bfloat16")
    batch = trial.batch()
    for _, losses in phases(trial.task, batch, half):
        check_finite(losses, "under autocast in bfloat16")
    with half.autocast():
        predictions(trial.task, batch)


@rule(*MODULES)
def state(offer: Offer) -> None:
    """A checkpoint contains all of its state: a copy that loads it computes the same."""
    one, other = tried(offer, seed=0), tried(offer, seed=1)
    with TemporaryDirectory(prefix="gvt-state-") as folder:
        path = Path(folder) / "state.safetensors"
        save(path, one.task.state_dict(), {})
        load_weights(other.task, load(path)[1])
    batch = one.batch()
    if names := different(observed(one.task, batch), observed(other.task, batch)):
        raise Failed(
            f"{listed(names)} differs after a round trip through a checkpoint; keep all state in "
            "parameters, or in buffers by register_buffer"
        )


@rule(*MODULES)
def determinism(offer: Offer) -> None:
    """The same seed gives bitwise the same weights and the same steps."""
    ends = []
    for _ in range(2):
        trial = tried(offer)
        start = {n: t.clone() for n, t in trial.task.state_dict().items()}
        with TemporaryDirectory(prefix="gvt-seed-") as folder:
            fitted(trial, Path(folder), steps=2)
        ends.append((start, trial.task.state_dict()))
    for index, when in enumerate(("as built", "after two steps")):
        if names := different(ends[0][index], ends[1][index]):
            raise Failed(
                f"{listed(names)} differs {when} from the same seed; draw from torch's default "
                "generator, or in a task from Step.randn and Step.rand"
            )


@rule(*MODULES)
def resume(offer: Offer) -> None:
    """Ten steps end bitwise like five steps, a checkpoint, and five more."""
    with TemporaryDirectory(prefix="gvt-resume-") as folder:
        whole = capture(fitted(tried(offer), Path(folder)))[1]
        middle = Path(folder) / f"step_{STEPS // 2:08d}.safetensors"
        halves = capture(fitted(tried(offer, seed=1), Path(folder) / "again", middle))[1]
    if names := different(whole, halves):
        raise Failed(
            f"{listed(names)} differs in a run that was resumed; keep all state of training "
            "in buffers, and do not count calls"
        )


@rule(*MODULES)
def deep_copy(offer: Offer) -> None:
    """A deep copy computes the same, also after the original has changed."""
    trial = tried(offer)
    batch = trial.batch()
    before = observed(trial.task, batch)
    twin = copy.deepcopy(trial.task)
    _change(trial)
    if names := different(before, observed(twin, batch)):
        raise Failed(
            f"{listed(names)} of a deep copy differs from the original, or changes with it; "
            "do not keep functions or references that close over the module"
        )


def _change(trial: Trial) -> None:
    seed_everything(0)
    with torch.no_grad():
        for parameter in trial.task.parameters():
            parameter.add_(torch.randn_like(parameter))
