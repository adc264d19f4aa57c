"""Putting a run together: configuration, data, task, loop, and who follows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gvt.build import DataFacts, build_task, offers_used, open_dataset, validate_components
from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import CheckpointFolder, restore, under
from gvt.config import DataConfig, RunConfig
from gvt.data import Loader, Order, evaluation_batches, open_loader
from gvt.device import Placement, resolve
from gvt.distributed import World, local_rank, world
from gvt.errors import CheckpointError
from gvt.interfaces import Batch, Dataset
from gvt.listener import Listener, PluginHooks, Run
from gvt.optim import resolved_schedule
from gvt.runs.display import Display
from gvt.runs.environment import environment
from gvt.runs.folder import RunFolder
from gvt.runs.recorder import Recorder
from gvt.seeding import derive, seed_everything
from gvt.trainer import Trainer

State = tuple[dict[str, Any], dict[str, Tensor]]
"""A checkpoint's document and tensors."""


def train(
    config: RunConfig,
    *,
    folder: RunFolder | None = None,
    state: State | None = None,
    quiet: bool = False,
) -> Run:
    """Build everything in its order, and run the loop.

    Args:
        config: What to run.
        folder: The folder of a run that goes on; a new one unless given.
        state: The checkpoint that it goes on from.
        quiet: Show nothing.
    """
    trained_with = state[0]["components"] if state else None
    validate_components(config, trained_with)
    placement = resolve(
        config.device,
        config.train.precision,
        config.train.memory_format,
        config.train.compile,
        local_rank(),
    )
    with world(placement.device) as processes:
        dataset = open_dataset(config, "train")
        facts = DataFacts.of(dataset, config)
        seed_everything(derive(config.train.seed, "networks"))
        task = build_task(config, facts, trained_with)
        notes = _initialise(task, config.init_from) if state is None else []
        loader, data = _open_loader(dataset, config, placement, processes)
        resolved = _resolved(config, data, placement, loader.order)
        trainer = Trainer(
            task,
            loader,
            config.optimizers,
            config.train,
            placement,
            evaluation=config.evaluate,
            open_split=_splits(resolved, placement, processes),
            world=processes,
        )
        document = _document(config, resolved, facts, placement, processes)
        if state is not None:
            restore(trainer, state[1], state[0])
            notes += _changes(state[0]["environment"], document["environment"])
        if processes.is_first:
            display = None if quiet else Display(_headline(resolved, dataset, trainer), notes)
            folder = folder or RunFolder.create(Path(config.run.root), config.recipe)
            _follow(trainer, folder, document, display)
        trainer.run.config = resolved
        return trainer.fit()


def _open_loader(
    dataset: Dataset, config: RunConfig, placement: Placement, processes: World
) -> tuple[Loader, DataConfig]:
    order = Order(
        len(dataset),
        config.data.batch_size,
        config.train.accumulate,
        config.train.seed,
        config.data.shuffle,
        processes.rank,
        processes.size,
    )
    return open_loader(dataset, config.data, order, placement)


def _follow(
    trainer: Trainer, folder: RunFolder, document: dict[str, Any], display: Display | None
) -> None:
    """Let the run's folder, the plugins and the screen follow a run."""
    folder.describe(document["resolved"], document["environment"])
    trainer.run.folder = folder.path
    trainer.checkpoints = CheckpointFolder(folder.checkpoints, trainer.train.keep, document)
    if trainer.checkpoints.last.exists():
        trainer.run.checkpoint = trainer.checkpoints.last
    report = display.note if display else warnings.warn
    screen: list[Listener] = [display] if display else []
    trainer.listeners = [*screen, Recorder(folder), PluginHooks(report)]


def _splits(
    config: RunConfig, placement: Placement, processes: World
) -> Callable[[str], Iterable[Batch]]:
    """Return what opens a pass over a held-out split; its data is opened once."""
    opened = cache(partial(open_dataset, config))

    def batches(split: str) -> Iterable[Batch]:
        size = config.evaluate.batch_size or config.data.batch_size
        return evaluation_batches(
            opened(split), config.data, size, placement, processes.rank, processes.size
        )

    return batches


def _resolved(config: RunConfig, data: DataConfig, placement: Placement, order: Order) -> RunConfig:
    """Return the configuration with every `auto` replaced by what it came to."""
    settings = config.train
    total = settings.steps or (settings.epochs or 0) * order.steps_per_epoch
    settings = settings.model_copy(
        update={
            "precision": placement.precision,
            "memory_format": placement.memory_format,
            "compile": placement.compile,
        }
    )
    optimizers = {k: resolved_schedule(o, total) for k, o in config.optimizers.items()}
    update = {
        "device": str(placement.device),
        "data": data,
        "train": settings,
        "optimizers": optimizers,
    }
    return config.model_copy(update=update)


def _document(
    config: RunConfig,
    resolved: RunConfig,
    facts: DataFacts,
    placement: Placement,
    processes: World,
) -> dict[str, Any]:
    """Return what every checkpoint of a run says besides the training state."""
    return {
        "recipe": config.recipe,
        "config": config.document(),
        "resolved": resolved.document(),
        "data": facts.document(),
        "components": {name: offer.origin for name, offer in offers_used(config).items()},
        "environment": environment(placement, processes.size),
    }


def _initialise(task: nn.Module, path: str | None) -> list[str]:
    """Take over a checkpoint's weights where name and shape agree, and say where they did not.

    Raises:
        CheckpointError: If nothing agrees.
    """
    if path is None:
        return []
    _, tensors = checkpoint_file.load(Path(path))
    weights, own = under("task/", tensors), task.state_dict()
    taken = {n: t for n, t in weights.items() if n in own and own[n].shape == t.shape}
    if not taken:
        raise CheckpointError(f"init_from: nothing in {path} has a name and shape of this model")
    task.load_state_dict(taken, strict=False)
    notes = [f"init_from: took {len(taken)} of {len(own)} tensors from {path}"]
    for name in (n for n in (*own, *weights) if n not in taken):
        theirs = tuple(weights[name].shape) if name in weights else "absent"
        ours = tuple(own[name].shape) if name in own else "absent"
        notes.append(f"init_from: {name} not taken: there {theirs}, here {ours}")
    return list(dict.fromkeys(notes))


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that results depend on and that is not what it was."""
    return [
        f"{name} was {then[name]}, now {now[name]}: results may differ in the last bits"
        for name in ("device", "threads", "processes", "versions")
        if then.get(name) != now[name]
    ]


def _headline(config: RunConfig, dataset: Dataset, trainer: Trainer) -> str:
    count = sum(p.numel() for p in trainer.task.parameters())
    where = "on the device" if config.data.resident else f"{config.data.workers} workers"
    processes = f" | {trainer.world.size} processes" if trainer.world.size > 1 else ""
    return (
        f"{config.recipe}: {trainer.placement.describe()} | {config.data.name}, {len(dataset):,} "
        f"images, {where} | {count:,} parameters{processes}"
    )
