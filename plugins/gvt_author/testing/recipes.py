"""Rules on recipes, which are run for a few steps with small batches."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gvt import DataInfo, Loader, RunConfig, Trainer, compose, derive, evaluate, seed_everything
from gvt import run as run_recipe
from gvt.checkpoint import CheckpointFolder
from gvt.checkpoint import load as load_checkpoint
from gvt.config import recipe_text, signature_of
from gvt.data import HeldOut, resolved
from gvt.loop import capture, restore
from gvt.session import build_task, check_split, open_dataset, validate_components
from gvt_author.testing.check import Failed, Skipped, error_line, rule
from gvt_author.testing.training import STEPS, different, listed
from gvt_author.testing.trial import CPU, example
from gvt_registry import Offer, default_registry

SMALL = (
    "device=cpu",
    "data.workers=0",
    "data.resident=false",  # else all samples would be read for a few steps
    "train.precision=float32",
    "train.log_every=1",
    "train.pictures_every=null",
    "evaluate={}",
)

LARGE = 1 << 13
"""Pixels of an image from which on a batch has two images instead of four."""


@rule("recipe")
def runs(offer: Offer) -> None:
    """It is valid, runs two steps into a folder, and its splits can be evaluated."""
    data = _data(offer)
    with TemporaryDirectory(prefix="gvt-recipe-") as folder:
        place = [f"run.root={folder}", "train.steps=2", "train.checkpoint_every=null"]
        try:
            done = run_recipe(offer.component.name, *SMALL, *data, *place, quiet=True)
            _evaluate(compose(offer.component.name, data), done.task)
        except Failed:
            raise
        except Exception as error:
            raise Failed(f"running it raised {error_line(error)}") from error


@rule("recipe", name="resume")
def resumed(offer: Offer) -> None:
    """A few steps end bitwise like half of them, a checkpoint, and the other half."""
    with TemporaryDirectory(prefix="gvt-resume-") as folder:
        whole = capture(_trained(offer, Path(folder)))[1]
        middle = min(Path(folder).glob("step_*.safetensors"))
        halves = capture(_trained(offer, Path(folder) / "again", start=middle, seed=1))[1]
    if names := different(whole, halves):
        raise Failed(
            f"{listed(names)} differs in a run that was resumed; see the rule of its models"
        )


@rule("recipe", name="determinism")
def same_steps(offer: Offer) -> None:
    """The same seed gives bitwise the same two steps."""
    with TemporaryDirectory(prefix="gvt-seed-") as folder:
        one, other = (capture(_trained(offer, Path(folder), 2))[1] for _ in range(2))
    if names := different(one, other):
        raise Failed(f"{listed(names)} differs in two runs of one seed; see the rule of its models")


def _data(offer: Offer) -> list[str]:
    """Return overrides for small batches, and for parameters of the data set from its example.

    Parameters that the recipe sets are kept.

    Raises:
        Skipped: If the data set has required parameters and no example, or if the recipe uses an
            environment variable that is not set.
    """
    try:
        named = re.findall(r"\$\{(\w+)\}", recipe_text(offer.component.name))
        if unset := [name for name in named if name not in os.environ]:
            raise Skipped(f"the environment variable {unset[0]} is not set")
        config = compose(offer.component.name)
        target = default_registry().find("dataset", config.data.name).load()
    except Skipped:
        raise
    except Exception as error:
        raise Failed(error_line(error)) from error
    declared, _ = signature_of(target)
    values = {n: v for n, v in example(target).items() if n not in config.data.parameters}
    names = {*values, *config.data.parameters, "split"}
    if missing := [n for n, p in declared.items() if p.required and n not in names]:
        raise Skipped(
            f"data set {config.data.name} needs {', '.join(missing)}, and has no gvt_example"
        )
    overrides = [f"data.{name}={json.dumps(value)}" for name, value in values.items()]
    return [*overrides, f"data.batch_size={_batch_size(offer.component.name, overrides)}"]


def _batch_size(recipe: str, overrides: list[str]) -> int:
    try:
        image = open_dataset(compose(recipe, overrides), "train")[0].image
    except Exception:  # running the recipe will report it
        return 4
    return 2 if image.shape[-2] * image.shape[-1] >= LARGE else 4


def _evaluate(config: RunConfig, task: Any) -> None:
    """Evaluate one batch of each split that the recipe evaluates."""
    settings = config.evaluate
    for key in ("split", "final"):
        split = getattr(settings, key)
        if split is None:
            continue
        check_split(f"evaluate.{key}", config, split)
        dataset = open_dataset(config, split)
        batches = HeldOut(dataset, resolved(dataset, config.data, CPU), CPU).batches()
        metrics = evaluate(task, [next(batches)]).metrics
        if key == "split" and settings.best is not None and settings.best not in metrics:
            raise Failed(
                f"evaluate.best is {settings.best!r}, but the metrics are {', '.join(metrics)}"
            )


def _trained(
    offer: Offer,
    folder: Path,
    steps: int | None = None,
    start: Path | None = None,
    seed: int = 0,
) -> Trainer:
    """Train without a run folder, because plots take longer than the steps.

    Without `steps`, there are enough steps for every phase to be due in each half of them. A
    checkpoint is saved after the first half.

    Raises:
        Skipped: If the recipe cannot be started, which the rule `runs` reports.
    """
    try:
        config = compose(
            offer.component.name,
            [*SMALL, *_data(offer), f"train.steps={steps or STEPS}", "train.keep=2"],
        )
        validate_components(config)
        dataset = open_dataset(config, "train")
        seed_everything(derive(config.train.seed + seed, "networks"))
        task = build_task(config, DataInfo.of(dataset, config.data.range))
        half = min(STEPS // 2, max(2, *(phase.every for phase in task.phases)))
        often = {"steps": steps or 2 * half, "checkpoint_every": half}
        train = config.train.model_copy(update=often)
        trainer = Trainer(
            task,
            Loader(dataset, config.data, train, CPU),
            config.optimizers,
            train,
            CPU,
            checkpoints=CheckpointFolder(folder, 2),
        )
    except Skipped:
        raise
    except Exception as error:
        raise Skipped("it does not run; see the rule 'runs'") from error
    if start is not None:
        restore(trainer, load_checkpoint(start))
    trainer.fit()
    return trainer
