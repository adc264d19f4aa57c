"""Best-checkpoint tracking and early stopping."""

from __future__ import annotations

import math
import warnings

from gvt.config import EvaluateConfig
from gvt.errors import ConfigError
from gvt.loop.evaluation import Evaluation
from gvt.loop.listener import Run


def note_best(config: EvaluateConfig, run: Run, evaluation: Evaluation) -> bool:
    """Return whether an evaluation is the best of the run so far, and note it in the run if so.

    An evaluation whose metric or any of whose losses is not finite is never the best; a warning
    says so.

    Raises:
        ConfigError: If it has no metric of the name in the configuration.
    """
    if config.best is None:
        return False
    metrics = evaluation.metrics
    losses = [name for name in metrics if evaluation.figure(name).kind == "loss"]
    if config.best not in metrics:
        raise ConfigError(
            f"evaluate.best: no metric is called {config.best!r}; there are {', '.join(losses)}"
        )
    for name in (config.best, *losses):
        if not math.isfinite(metrics[name]):
            warnings.warn(
                f"evaluation of step {run.step}: {name} is {metrics[name]}, so it cannot be the "
                "best one",
                stacklevel=2,
            )
            return False
    value = metrics[config.best]
    sign = 1 if config.mode == "max" else -1
    if run.best and sign * value <= sign * run.best["value"]:
        return False
    run.best = {"value": value, "step": run.step}
    return True


def out_of_patience(config: EvaluateConfig, run: Run) -> str:
    """Return why a run is complete early; empty if it is not.

    It depends only on the step of the run and that of its best checkpoint. So a resumed run stops
    at the same step as an uninterrupted one, and a run that has stopped does not continue.
    """
    if config.patience is None or config.every is None:
        return ""
    every = run.steps_per_epoch if config.every == "epoch" else config.every
    since = int(run.best["step"]) if run.best else 0
    waited = run.step // every - since // every
    if waited < config.patience:
        return ""
    best = f"{run.best['value']:.4f} at step {since}" if run.best else "none"
    return (
        f"{config.best} has not become better in {waited} evaluations (evaluate.patience); its "
        f"best is {best}"
    )
