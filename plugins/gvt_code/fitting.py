"""Train a task that was built in code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel

from gvt import (
    ConfigError,
    DataInfo,
    Dataset,
    MultiHead,
    Run,
    RunConfig,
    Task,
    UsageError,
    compose,
)
from gvt.config import CODE, expanded, made_of, same_facts, section_of_made
from gvt.device import world
from gvt.runs import RunFolder
from gvt.session import PINNED, Given, PathLike, check_classes, find_run, locked
from gvt.session import train as train_given
from gvt_registry import default_registry

from .recipe import check_settings, recipe_of


def fit(
    task: Task,
    train: Any,
    /,
    *overrides: str,
    held_out: Any = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    resume: PathLike | bool = False,
    quiet: bool = False,
    **sections: Any,
) -> Run:
    """Train a task that was built in code, as `gvt.run` trains a recipe.

    The run has a folder, checkpoints and a report. It can be resumed with the same result, bit for
    bit, and be run by several processes (torchrun).

    Args:
        task: The task; it is trained from the weights that it has.
        train: The training data: a `gvt.Dataset`, or what a plugin adapts, such as a data set of
            torch that returns an image and its target.
        overrides: Overrides `dotted.path=value`, such as `train.clip_norm=1`.
        held_out: Data to evaluate on, in the same form; or several by the names of their splits.
            The first one is evaluated during the run, and `evaluate={"final": NAME}` at its end.
        steps: Number of iterations.
        epochs: Number of passes over the data; either this or `steps` is required.
        batch_size: Samples of one micro-batch in one process.
        lr: Learning rate of every optimiser; AdamW by default.
        resume: Whether to continue the newest run of this name, if there is one; or the folder of
            the run to continue, or a checkpoint in it. It continues from this checkpoint, by
            default the last one, and not from the task's weights.
        quiet: Whether to show nothing.
        sections: Sections of a recipe by name, as mappings or objects: `recipe="mix"` is the name
            of the run, `train=gvt.TrainConfig(...)`, `optimizers={"model": {...}}`,
            `evaluate=...`, `run={"root": "runs"}`, `device="cpu"`.

    Returns:
        The run, with `task`, `metrics`, `folder` and `checkpoint`.

    Raises:
        UsageError: If the data is of an unknown form, a setting is that of the task or of the
            data, held-out data is not evaluated, or there is no run to resume.
        ConfigError: If a setting is wrong, or differs from that of the run to resume.
        Interrupted: If the run was interrupted; it is saved.
        GvtError: If the run failed; the message gives the reason.
    """
    further = _plain(sections)
    check_settings(further, overrides)
    splits = {"train": _adapted(train), **_held_out(held_out)}
    data = _data_section(splits)
    made = made_of(task)
    data_range = made.facts.get("data_range") if made else None
    further["data"] = {"range": data_range, **further.get("data", {})}
    info = DataInfo.of(splits["train"], further["data"]["range"])
    _check_alike(splits, info)
    _check_heads(task, info)
    if (first := next((name for name in splits if name != "train"), None)) is not None:
        further["evaluate"] = {"split": first, **further.get("evaluate", {})}
    settings = {"steps": steps, "epochs": epochs, "batch_size": batch_size, "lr": lr}
    recipe, notes = recipe_of(task, info, data, further, settings)
    config, given = compose(recipe, overrides), Given(task, splits, notes)
    _check_splits(splits, config)
    with world() as processes:  # the folder is the same in all, before one of them makes another
        folder, checkpoint = processes.gather(_folder(resume or False, config))[0]
    if folder is None:
        return train_given(config, given, quiet=quiet)
    with locked(folder, checkpoint) as state:
        if state is not None:
            config = _pinned(config, state[0]["resolved"]["train"])
        return train_given(config, given, folder=folder, state=state, quiet=quiet)


def _pinned(config: RunConfig, resolved: Mapping[str, Any]) -> RunConfig:
    """Return a configuration in which each `auto` of `PINNED` has the value that it had before."""
    update = {name: resolved[name] for name in PINNED if getattr(config.train, name) == "auto"}
    return config.model_copy(update={"train": config.train.model_copy(update=update)})


def _plain(value: Any) -> Any:
    """Return sections with the paths and objects of settings in them as plain data."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _adapted(data: Any) -> Dataset:
    """Return data as a data set, by a plugin if it is of another form.

    Raises:
        UsageError: If its form is not known.
    """
    has_info = isinstance(getattr(data, "info", None), DataInfo)
    if has_info or (hasattr(data, "classes") and hasattr(data, "image_shape")):
        return data  # type: ignore[no-any-return]
    for _, answer in default_registry().plugins.call("gvt_adapt_data", data=data):
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer  # type: ignore[no-any-return]
    raise UsageError(
        f"the data is a {type(data).__name__}, which is neither a gvt.Dataset nor of a form that a "
        "plugin adapts"
    )


def _held_out(data: Any) -> dict[str, Dataset]:
    """Return held-out data by the names of its splits."""
    if data is None:
        return {}
    if isinstance(data, Mapping):
        for name in data:
            if not isinstance(name, str) or name in ("", "train") or "/" in name:
                raise UsageError(f"held_out: a split cannot be called {name!r}; rename it")
        return {name: _adapted(split) for name, split in data.items()}
    made = made_of(dataset := _adapted(data))
    split = made.facts.get("split") if made else None
    return {"held_out" if split in (None, "train") else split: dataset}


def _data_section(splits: Mapping[str, Dataset]) -> dict[str, Any]:
    """Return the section of a recipe for the data; `CODE` unless all splits are of one data set."""
    section = section_of_made(splits["train"])
    for name, split in splits.items():
        made = made_of(split)
        if made is None or section_of_made(split) != section or made.facts.get("split") != name:
            return {"name": CODE}
    return section


def _check_alike(splits: Mapping[str, Dataset], info: DataInfo) -> None:
    """Check that held-out data has the classes of the training data, and is read in the same way.

    Raises:
        ConfigError: If it differs.
    """
    for name, split in splits.items():
        check_classes(split, info.classes)
        if not same_facts(DataInfo.of(split).reader, info.reader):
            raise ConfigError(
                f"held_out: {name} is not read as the training data is; build it with "
                "reader=train.info.reader, or gvt.dataset with the same channels and size"
            )


def _check_heads(task: Task, info: DataInfo) -> None:
    """Check that no head was built for fewer classes than the data it learns from has.

    Raises:
        ConfigError: If one was.
    """
    if not isinstance(task, MultiHead):
        return
    for name, head in task.heads.items():
        made, words = made_of(head), task.vocabularies.get(name)
        needed = len(info.classes if words is None else words.classes)
        if made is not None and (classes := made.facts.get("num_classes", needed)) < needed:
            raise ConfigError(
                f"heads.{name}: was built for {classes} classes, and the data has {needed}; "
                "build it with data=train"
            )


def _check_splits(splits: Mapping[str, Dataset], config: RunConfig) -> None:
    """Check that the run evaluates the held-out data, and no split of data that it cannot open.

    Raises:
        UsageError: If it does not.
    """
    evaluated = [n for n in (config.evaluate.split, config.evaluate.final) if n is not None]
    for name in splits.keys() - {"train", *evaluated}:
        raise UsageError(
            f"held_out: {name} is not evaluated; name it in evaluate={{'split': ..., 'final': ...}}"
        )
    for name in evaluated:
        if config.data.name == CODE and name not in splits:
            raise UsageError(f"evaluate: there is no split {name!r}; give it as held_out")


def _folder(resume: PathLike | bool, config: RunConfig) -> tuple[RunFolder | None, Path | None]:
    """Return the folder of the run to continue, and a checkpoint in it that was asked for.

    Without a folder, a run is started.

    Raises:
        UsageError: If `resume` is neither a run folder nor a checkpoint in one.
    """
    if isinstance(resume, bool):
        root = Path(expanded("run.root", config.run.root))
        return RunFolder.newest(root, config.recipe) if resume else None, None
    run, path = find_run(resume), Path(resume)
    if not run.config.is_file():
        raise UsageError(f"resume: {str(path)!r} is neither a run folder nor a checkpoint in one")
    return run, path if path.is_file() else None
