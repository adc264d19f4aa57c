"""Build the parts of a run from its configuration, and train."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import CheckpointFolder, State, under
from gvt.config import RunConfig, TrainConfig
from gvt.config.made import CODE
from gvt.config.paths import expanded
from gvt.config.recorded import all_sections, with_defaults
from gvt.data.loading import Loader
from gvt.data_info import DataInfo
from gvt.device.placement import Placement, explained_memory, keep_freed_memory
from gvt.device.processes import World, local_rank, processes_here, world
from gvt.errors import CheckpointError, ConfigError
from gvt.files import remove_unfinished
from gvt.interfaces import Dataset
from gvt.loop.listener import Listener, PluginHooks, Run
from gvt.loop.optim import resolved_schedule
from gvt.loop.remedy import shell_quoted
from gvt.loop.state import restore
from gvt.loop.trainer import Trainer
from gvt.runs.display import Display
from gvt.runs.environment import changes, environment
from gvt.runs.folder import RunFolder
from gvt.runs.recorder import Recorder
from gvt.runs.writer import sole_writer
from gvt.seeding import derive, seed_everything
from gvt.session.build import (
    build_task,
    offers_used,
    open_dataset,
    placement_of,
    validate_components,
)
from gvt.session.changeable import FITTING, first_change
from gvt.session.lessons import check_lessons, warn_of_absent_classes
from gvt.session.opened import PINNED, pinned
from gvt.task import Task
from gvt_registry import default_registry


@dataclass(frozen=True)
class Given:
    """The parts of a run that were built in code.

    Attributes:
        task: The task.
        splits: The data sets by the names of their splits, with `train`.
        notes: Lines for the display, about parts that no recipe describes.
    """

    task: Task
    splits: Mapping[str, Dataset]
    notes: Sequence[str] = ()


def train(
    config: RunConfig,
    given: Given | None = None,
    *,
    folder: RunFolder | None = None,
    state: State | None = None,
    quiet: bool = False,
) -> Run:
    """Build the parts of a run, and train until it is complete.

    Args:
        config: The configuration.
        given: The task and the data, if they were built in code. A checkpoint of their first step
            is saved, since no configuration has their weights.
        folder: Folder of a run to resume, locked by the caller; a new folder by default.
        state: The checkpoint to resume from.
        quiet: Whether to show nothing.
    """
    components = state[0]["components"] if state else {} if given else None
    validate_components(config, components, in_code=given is not None)
    config = with_defaults(config)
    if given is not None and state is not None:
        _check_unchanged(pinned(state[0]), config)
    placement = placement_of(config, local_rank())
    keep_freed_memory(placement.device)
    memory = explained_memory(placement, config.data.batch_size, config.train.accumulate)
    with memory, world(config.train.timeout) as processes, ExitStack() as locked:
        trainer, document, opening = _build(config, given, placement, processes, state)
        trainer.rehearse()  # errors come before the run folder is created
        if processes.is_first:
            if folder is None:
                root = Path(expanded("run.root", config.run.root))
                folder = RunFolder.create(root, config.recipe)
                locked.enter_context(sole_writer(folder.path, "trained"))
            _follow(trainer, folder, document, None if quiet else Display(*opening))
        return trainer.fit(saves_first=given is not None and state is None)


def _check_unchanged(before: RunConfig, after: RunConfig) -> None:
    """Check that a run is resumed with the settings that determine its result.

    Raises:
        ConfigError: If one differs.
    """
    before.data.workers = after.data.workers  # which does not
    if changed := first_change(FITTING, before, after):
        hint = "use the same task, data and settings, or start a new run with resume=False"
        raise ConfigError(f"{changed}: differs from that of the run to resume; {hint}")


def _build(
    config: RunConfig,
    given: Given | None,
    placement: Placement,
    processes: World,
    state: State | None,
) -> tuple[Trainer, dict[str, Any], tuple[str, list[str]]]:
    """Return the trainer, the document of its checkpoints, and the first lines of the display."""
    before = DataInfo.from_document(state[0]["data"]) if state else None
    splits = {**given.splits} if given else {}
    dataset = splits.get("train")
    if dataset is None:
        dataset = open_dataset(config, "train", before.reader if before else None)
    info = DataInfo.of(dataset, config.data.range)
    if before is not None:
        info.check_same(before)
    if processes.is_first:
        warn_of_absent_classes(info)
    seed_everything(derive(config.train.seed, "networks"))
    task = given.task if given else build_task(config, info, state and state[0]["components"])
    check_lessons(task, info)
    notes = [*given.notes] if given else []
    notes += [] if state or config.init_from is None else _initialise(task, config.init_from)
    loader = Loader(dataset, config.data, config.train, placement, processes)
    resolved = _resolved(config, placement, loader)

    def opened(split: str) -> Dataset:
        if split not in splits:
            splits[split] = open_dataset(resolved, split, info.reader)
        return splits[split]

    trainer = Trainer(
        task,
        loader,
        config.optimizers,
        config.train,
        placement,
        evaluation=config.evaluate,
        open_split=lambda split: loader.held_out(opened(split), resolved.evaluate.batch_size),
        world=processes,
        classes=info.classes,
    )
    trainer.run.config, trainer.run.info = resolved, info
    document = document_of(config, info, placement, processes.size)
    document["resolved"] = resolved.document()
    task.origin = document
    if state is not None:
        restore(trainer, state)
        state[1].clear()  # a second copy of all tensors
        notes += changes(state[0]["environment"], document["environment"])
    return trainer, document, (_headline(resolved, dataset, trainer), notes)


def document_of(
    config: RunConfig, info: DataInfo, placement: Placement, processes: int = 1
) -> dict[str, Any]:
    """Return the document of the checkpoints of a task, without a training state.

    Args:
        config: The configuration.
        info: Information about the data.
        placement: Device, precision and memory format.
        processes: Number of processes.
    """
    offers, plugins = offers_used(config), default_registry().plugins
    resolved = config.model_copy(update={"train": _pinned(config, placement)})
    return {
        "recipe": config.recipe,
        "config": config.document(),
        "resolved": resolved.document(),
        "data": info.document(),
        "components": {name: offer.origin for name, offer in offers.items()},
        "environment": environment(placement, processes, plugins, offers.values()),
    }


def _pinned(config: RunConfig, placement: Placement) -> TrainConfig:
    return config.train.model_copy(update={name: getattr(placement, name) for name in PINNED})


def _follow(
    trainer: Trainer, folder: RunFolder, document: dict[str, Any], display: Display | None
) -> None:
    """Add the display, the run folder and the plugins as listeners of a run."""
    folder.check_links()
    remove_unfinished(folder.path)
    folder.describe(document["resolved"], document["environment"])
    trainer.run.folder, trainer.run.quiet = folder.path, display is None
    trainer.run.resume_with = partial(_resume_command, trainer.run.config, trainer.world.size)
    trainer.run.resume_command = trainer.run.resume_with(folder.path)
    trainer.checkpoints = CheckpointFolder(folder.checkpoints, trainer.train.keep, document)
    if trainer.checkpoints.last.exists():
        trainer.run.checkpoint = trainer.checkpoints.last
    report = display.note if display else warnings.warn
    screen: list[Listener] = [display] if display else []
    stop = document["resolved"]["run"]["hook_errors"] == "stop"
    hooks = PluginHooks(default_registry().plugins, report, stop=stop)
    recorder = Recorder(folder, (lambda: display.lost) if display else str)
    trainer.listeners = [*screen, recorder, hooks]


def _resume_command(config: RunConfig | None, processes: int, path: Path, *settings: str) -> str:
    """Return the command that resumes a run, including the plugins that it needs.

    It is a call in Python for a run with parts that were built in code, and in a notebook, which
    may have registered components.

    Args:
        config: The configuration of the run.
        processes: Number of processes.
        path: Folder of the run, or a checkpoint in it.
        settings: Overrides.
    """
    if config and any(part.name == CODE for _, _, part in all_sections(config)):
        parts = ", ".join(("task", "data", *map(repr, settings)))
        return f"gvt.fit({parts}, resume={str(path)!r})"
    if Console().is_jupyter:
        return f"gvt.resume({', '.join(map(repr, (str(path), *settings)))})"
    words = ["gvt", "resume", str(path)]
    if processes > 1:
        words = ["torchrun", f"--nproc-per-node={processes_here()}", "-m", *words]
    plugins = default_registry().plugins
    for file in filter(None, (plugin.path for plugin in plugins)):
        words += ["--plugin", str(file)]
    if plugins.only is not None:
        words += ["--only-plugins", ",".join(plugins.only)]
    return " ".join(map(shell_quoted, [*words, *settings]))


def _resolved(config: RunConfig, placement: Placement, loader: Loader) -> RunConfig:
    """Return the configuration with every `auto` replaced by its value."""
    total = config.train.total_steps(loader.order.steps_per_epoch)
    update = {
        "device": str(placement.device),
        "data": loader.config,
        "train": _pinned(config, placement),
        "optimizers": {k: resolved_schedule(o, total) for k, o in config.optimizers.items()},
    }
    return config.model_copy(update=update)


def _initialise(task: nn.Module, path: str) -> list[str]:
    """Load a checkpoint's weights where name and shape match; return notes about all others.

    Weight averages are preferred, since evaluation and prediction use them.

    Raises:
        CheckpointError: If no tensor matches.
    """
    _, tensors = checkpoint_file.load(Path(expanded("init_from", path)))
    weights, state = under("task/", tensors) | under("ema/", tensors), task.state_dict()
    matches = {n: t for n, t in weights.items() if n in state and state[n].shape == t.shape}
    if not matches:
        raise CheckpointError(
            f"init_from: no tensor in {path} matches this model in name and shape"
        )
    task.load_state_dict(matches, strict=False)
    notes = [f"init_from: loaded {len(matches)} of {len(state)} tensors from {path}"]
    for name in dict.fromkeys([*state, *weights]):
        if name not in matches:
            saved = tuple(weights[name].shape) if name in weights else "absent"
            expected = tuple(state[name].shape) if name in state else "absent"
            notes.append(f"init_from: {name} not loaded: {saved} in the file, {expected} here")
    return notes


def _headline(config: RunConfig, dataset: Dataset, trainer: Trainer) -> str:
    count = sum(p.numel() for p in trainer.task.parameters())
    where = "on the device" if config.data.resident is True else f"{config.data.workers} workers"
    processes = f" | {trainer.world.size} processes" if trainer.world.size > 1 else ""
    return (
        f"{config.recipe}: {trainer.placement.describe()} | {config.data.name}, {len(dataset):,} "
        f"samples, {where} | {count:,} parameters{processes}"
    )
