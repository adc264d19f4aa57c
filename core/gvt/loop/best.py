"""The best evaluation of a run, and how long another one is waited for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from gvt.config import EvaluateConfig
from gvt.errors import ConfigError
from gvt.finite import has_finite_losses
from gvt.loop.listener import Run


def note_best(config: EvaluateConfig, run: Run, metrics: Mapping[str, float]) -> bool:
    """Return whether an evaluation is the run's best so far, and note it in the run if so.

    One whose metric or any held-out loss is not finite never is, and is warned of.

    Raises:
        ConfigError: If it has no metric of the wanted name.
    """
    if config.best is None:
        return False
    if config.best not in metrics:
        known = ", ".join(name for name in metrics if name.startswith("loss/"))
        raise ConfigError(f"evaluate.best: no metric is called {config.best!r}; there are {known}")
    value = metrics[config.best]
    if not math.isfinite(value) or not has_finite_losses(metrics):
        losses = {n: v for n, v in metrics.items() if n.startswith("loss/")}
        name, broken = next(
            (n, v) for n, v in {config.best: value, **losses}.items() if not math.isfinite(v)
        )
        warnings.warn(
            f"evaluation of step {run.step}: {name} is {broken}, so it cannot be the best one",
            stacklevel=2,
        )
        return False
    sign = 1 if config.mode == "max" else -1
    if run.best is not None and sign * value <= sign * run.best["value"]:
        return False
    run.best = {"value": value, "step": run.step}
    return True


def out_of_patience(config: EvaluateConfig, run: Run) -> str:
    """Return why a run is complete early, nothing if it is not.

    It follows from the steps of the run and of its best alone, so that a resumed run stops where
    the undisturbed one does, and one that has stopped is known as such.
    """
    if config.patience is None or config.every is None:
        return ""
    every = run.steps_per_epoch if config.every == "epoch" else config.every
    since = int(run.best["step"]) if run.best is not None else 0
    waited = run.step // every - since // every
    if waited < config.patience:
        return ""
    best = f"{run.best['value']:.4f} at step {since}" if run.best is not None else "none"
    return (
        f"{config.best} has not become better in {waited} evaluations (evaluate.patience); its "
        f"best is {best}"
    )
