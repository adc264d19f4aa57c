"""The data information of merged heads, and the classes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gvt import IGNORED, DataConfig, DataInfo, UsageError, Vocabulary
from gvt.config import CODE, HeadConfig, made_of, same_facts
from gvt.printable import printable
from gvt.session import vocabulary_of
from gvt_multi.source import Source

T = TypeVar("T")


@dataclass(frozen=True)
class Mix:
    """What merged heads have learned from.

    Attributes:
        info: The data of all heads; with parts, if their classes differ.
        learns_from: Part of the data of each head that has learned from one, by the head's name.
        data: The section of a recipe; the name is `CODE` if no data set has all of the data.
    """

    info: DataInfo
    learns_from: dict[str, str]
    data: DataConfig

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """The classes of each head that has learned from a part."""
        configs = {n: HeadConfig(name="", learns_from=p) for n, p in self.learns_from.items()}
        words = {name: vocabulary_of(config, self.info) for name, config in configs.items()}
        return {name: of_head for name, of_head in words.items() if of_head is not None}


def mix_of(sources: Sequence[Source]) -> Mix:
    """Return what the heads of several checkpoints have learned from.

    With the same data, or if one data set suits all heads, it has no new parts. Otherwise each data
    set is a part of the data set `mixed`, named after the first head that learned from it, and the
    classes are those of all parts; classes with the same name are the same class. Parts that
    checkpoints have already keep their names.

    Raises:
        UsageError: If two parts have one name, or a part has two classes of one name.
    """
    first, *others = (source.opened.info for source in sources)
    part_of = {
        new: source.opened.config.heads[old].learns_from
        for source in sources
        for old, new in source.heads.items()
    }
    sections = [_section(source) for source in sources]
    data = sources[0].opened.config.data
    if any(section != sections[0] for section in sections):
        data = DataConfig(name=CODE)
    if all(info == first for info in others):
        return Mix(first, {head: part for head, part in part_of.items() if part is not None}, data)
    if all(info.classes == first.classes for info in others) and not any(part_of.values()):
        whole = _without_parts([first, *others])
        if all(_suits(whole, head) for source in sources for head in source.task.heads.values()):
            return Mix(whole, {}, data)
    return _of_parts(sources)


def _suits(info: DataInfo, head: Any) -> bool:
    """Return whether a head for this data is built with the arguments that it was built with."""
    made, facts = made_of(head), info.injected_classes
    return made is None or all(
        same_facts(made.facts[n], facts[n]) for n in facts if n in made.facts
    )


def _without_parts(infos: Sequence[DataInfo]) -> DataInfo:
    """Return the information about data sets of the same classes as that about one."""
    return replace(
        infos[0],
        samples=_common(info.samples for info in infos),
        fingerprint=_common(info.fingerprint for info in infos),
        background=any(info.background for info in infos),
        class_counts=_common(i.class_counts for i in infos if i.class_counts is not None),
        category_ids=_common(info.category_ids for info in infos),
        parts={},
    )


def _section(source: Source, part: str | None = None) -> dict[str, Any]:
    """Return the data set of a checkpoint, or a part of it, as a part in a recipe."""
    data = source.opened.config.data
    if part is None:
        return {"name": data.name, **data.parameters}
    parts = data.parameters.get("parts")
    return dict(parts[part]) if isinstance(parts, Mapping) and part in parts else {"name": CODE}


def _of_parts(sources: Sequence[Source]) -> Mix:
    parts: dict[str, tuple[DataInfo, dict[str, Any]]] = {}
    learns_from: dict[str, str] = {}
    for source in sources:
        for old, new in source.heads.items():
            part = source.opened.config.heads[old].learns_from
            name, info = new, replace(source.opened.info, parts={})
            if part is not None:
                name, info = source.renamed(part), source.opened.info.parts[part]
            of_part = info, _section(source, part)
            name = next((n for n, other in parts.items() if other == of_part), name)
            if parts.setdefault(name, of_part) != of_part:
                raise UsageError(
                    f"two parts of the data are called {printable(name)}, the second in "
                    f"{source.label}; name its heads: NAME={source.label}"
                )
            learns_from[new] = name
    infos = {name: info for name, (info, _) in parts.items()}
    for name, info in infos.items():
        _check_distinct(name, info)
    whole = replace(
        sources[0].opened.info,
        classes=tuple(dict.fromkeys(name for info in infos.values() for name in info.classes)),
        background=any(info.background for info in infos.values()),
        samples=None,
        fingerprint=None,
        class_counts=None,
        category_ids=None,
        parts=infos,
    )
    return Mix(whole, learns_from, _mixed(sources[0], {n: of for n, (_, of) in parts.items()}))


def _mixed(first: Source, parts: Mapping[str, Mapping[str, Any]]) -> DataConfig:
    """Return the section of a recipe for mixed data, loaded as that of the first checkpoint."""
    if any(section["name"] == CODE for section in parts.values()):
        return DataConfig(name=CODE)
    data = first.opened.config.data
    further: dict[str, Any] = {"parts": dict(parts)}
    return DataConfig(name="mixed", range=data.range, batch_size=data.batch_size, **further)


def check_renumbered(mix: Mix, sources: Sequence[Source]) -> None:
    """Check that the heads can predict the numbers of the classes of all parts.

    Raises:
        UsageError: If there are too many classes for pixels, or a head gives each pixel several
            labels.
    """
    count = len(mix.info.classes) + mix.info.background
    for source in sources:
        for old, new in source.heads.items():
            keys = getattr(source.task.heads[old], "predicts", ())
            if new not in mix.learns_from:
                continue
            if "masks" in keys and "boxes" not in keys:
                raise UsageError(
                    f"{source.label}: head {printable(old)} gives each pixel several labels; it "
                    "can only be merged with heads of the same classes"
                )
            if "semantic" in keys and count > IGNORED:
                raise UsageError(
                    f"{source.label}: head {printable(old)} gives each pixel a class, and there "
                    f"are {count} classes in all, of which pixels can have {IGNORED}"
                )


def _check_distinct(part: str, info: DataInfo) -> None:
    for name, count in Counter(info.classes).items():
        if count > 1:
            raise UsageError(
                f"{printable(name)} is the name of {count} classes of {printable(part)}, but "
                "classes are merged by name"
            )


def _common(values: Iterable[T]) -> T | None:
    """Return the common value; None if the values differ, or there are none."""
    first, *rest = [*values] or [None]
    return first if all(value == first for value in rest) else None
