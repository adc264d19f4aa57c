"""Networks that are ready to predict: of a run, of a checkpoint, or of a recipe with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gvt.checkpoint import file as checkpoint_file
from gvt.config import RunConfig, compose
from gvt.config.schema import PredictConfig
from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.interfaces import Task
from gvt.printable import printable
from gvt.seeding import seeded
from gvt.session.build import build_dataset, build_task, validate_components
from gvt.session.facts import DataFacts
from gvt.session.saved import PathLike, find_checkpoint, is_recipe, pinned, task_of
from gvt.vision.pictures.reader import PictureReader

CHANGEABLE = ("predict", "device")
"""Sections of a checkpoint's configuration that a prediction can have otherwise."""


@dataclass(frozen=True)
class Trained:
    """A task with what has to be known for predicting with it.

    Attributes:
        task: On its device, in eval mode.
        facts: What the networks know of their data.
        config: The configuration.
        placement: Where and how to compute.
    """

    task: Task
    facts: DataFacts
    config: RunConfig
    placement: Placement

    @property
    def settings(self) -> PredictConfig:
        """How pictures are predicted."""
        return self.config.predict

    def reader(self, *, own_size: bool) -> PictureReader:
        """Return how picture files become images.

        That is how the training read them. Where it read no files, pictures have the channels
        that the networks were trained with, and keep their own size if each pixel is classified
        or objects are found; else they are made as large as the training's, with all of the
        picture, and black beside it. Where nothing is known they are in colour and of their own
        size.

        Args:
            own_size: Whether pictures of any size will do.

        Raises:
            UsageError: If the networks are for images of neither one nor three channels.
        """
        if self.facts.reader is not None:
            return PictureReader.from_document(self.facts.reader)
        channels, *size = self.facts.image_shape or (self.facts.image_channels or 3,)
        if channels not in (1, 3):
            raise UsageError(
                f"{self.config.recipe}: its networks take images of {channels} channels, and "
                "picture files give 1 or 3"
            )
        if own_size or not size:
            return PictureReader(channels)
        return PictureReader(channels, (size[0], size[1]), fit="pad")


def open_trained(trained: PathLike, overrides: Sequence[str], *, averaged: bool) -> Trained:
    """Return the networks of a run's folder, a checkpoint, or a recipe with weights of its own.

    Args:
        trained: A run's folder, a checkpoint, a recipe's name or the path of a YAML file.
        overrides: Of a checkpoint those of `predict` and `device`, of a recipe any.
        averaged: Take the moving average of a checkpoint's weights where there is one.

    Raises:
        UsageError: If there is nothing of that name, an override is wrong, or a recipe's
            networks have no weights.
        CheckpointError: If the checkpoint is damaged.
    """
    path = Path(trained)
    recipe = is_recipe(trained)
    if not recipe and not path.exists():
        raise UsageError(f"{printable(path)}: there is no such run or checkpoint")
    config, facts, task = (
        _of_recipe(trained, overrides) if recipe else (_of_checkpoint(path, overrides, averaged))
    )
    train = config.train
    placement = Placement.resolve(
        config.device, train.precision, train.memory_format, train.compile
    )
    placement.place(task)
    return Trained(task.eval(), facts, config, placement)


def _of_checkpoint(
    path: Path, overrides: Sequence[str], averaged: bool
) -> tuple[RunConfig, DataFacts, Task]:
    _, file = find_checkpoint(path)
    state = checkpoint_file.load(file, of_run=True)
    before = compose(pinned(state[0]))
    config = compose(pinned(state[0]), overrides)
    for section in RunConfig.model_fields:
        if section not in CHANGEABLE and getattr(config, section) != getattr(before, section):
            raise UsageError(
                f"{section}: pictures are predicted as the networks were trained; only "
                f"{' and '.join(CHANGEABLE)} can be set"
            )
    validate_components(config, state[0]["components"])
    return config, DataFacts.from_document(state[0]["data"]), task_of(state, file, averaged)


def _of_recipe(recipe: PathLike, overrides: Sequence[str]) -> tuple[RunConfig, DataFacts, Task]:
    config = compose(recipe, overrides)
    if config.init_from is not None:
        raise UsageError(
            f"init_from: is where a training begins; name {config.init_from} in the recipe's place"
        )
    validate_components(config)
    facts = DataFacts.of(build_dataset(config, "train"), config)
    task = _built(config, facts, 0)
    drawn = _different(task.state_dict(), _built(config, facts, 1).state_dict())
    if drawn is not None:
        raise UsageError(
            f"{config.recipe}: its networks are not trained, {drawn} is drawn at random; name a "
            "run or a checkpoint, or a recipe whose networks are given weights"
        )
    return config, facts, task


def _built(config: RunConfig, facts: DataFacts, seed: int) -> Task:
    with seeded(seed):
        return build_task(config, facts)


def _different(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> str | None:
    """Return the first name under which two tasks hold different values."""
    return next((n for n, v in one.items() if not torch.equal(v, other[n])), None)
