"""What differs between two states of the public API, and whether the changelog says so."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import griffe


@dataclass(frozen=True)
class Snapshot:
    """The public API at one time.

    Attributes:
        version: The version of the plugin API.
        names: Of each path its parameters as text, `(task, loader, *, world=None)`; of an
            attribute its value, `= (-1.0, 1.0)`, or nothing.
    """

    version: int
    names: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Return the one that a file holds."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(document["api_version"], document["names"])

    def document(self) -> dict[str, object]:
        """Return it as plain data."""
        return {"api_version": self.version, "names": dict(self.names)}


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        path: The name that it is of.
        what: In a few words.
        breaks: Whether code that was right before may be wrong now.
        parameter: The parameter that it is about, empty for the name itself.
    """

    path: str
    what: str
    breaks: bool
    parameter: str = ""

    @property
    def words(self) -> list[str]:
        """What a line has to hold to name it; the package does not matter."""
        parts = [p for p in self.path.split(".") if p not in ("gvt", "gvt_registry")]
        return [*parts, self.parameter] if self.parameter else parts

    def __str__(self) -> str:
        return f"{self.path}{f'({self.parameter})' if self.parameter else ''}: {self.what}"


def changes(before: Snapshot, now: Snapshot) -> list[Change]:
    """Return all differences, in the order of the names."""
    found: list[Change] = []
    for path, old in before.names.items():
        if path not in now.names:
            # A class's members go with it, and one line is enough.
            if path.rpartition(".")[0] not in before.names.keys() - now.names.keys():
                found.append(Change(path, "was removed", breaks=True))
        elif old != now.names[path]:
            found += _of_signature(path, old, now.names[path])
    new = now.names.keys() - before.names.keys()
    fresh = [p for p in now.names if p in new and p.rpartition(".")[0] not in new]
    return found + [Change(path, "is new", breaks=False) for path in fresh]


def unannounced(before: Snapshot, now: Snapshot, changelog: str) -> list[str]:
    """Return a line for each change that the changelog, or the API version, does not tell.

    Args:
        before: The API as it was recorded.
        now: The API as it is.
        changelog: The text of CHANGELOG.md; a line under [Unreleased] has to name the change.
    """
    lines = _unreleased(changelog).splitlines()
    found = []
    for change in changes(before, now):
        wanted = [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)") for word in change.words]
        if not any(all(w.search(line) for w in wanted) for line in lines):
            named = " and ".join(f"`{word}`" for word in change.words)
            found.append(f"{change}; name {named} in one line of CHANGELOG.md under [Unreleased]")
        if change.breaks and now.version <= before.version:
            found.append(
                f"{change}; it breaks plugins: keep the old way with a warning "
                f"(gvt.deprecation), or raise API_VERSION, which is {now.version}"
            )
    return found


def _unreleased(changelog: str) -> str:
    found = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    return found[1] if found else ""


def _of_signature(path: str, old: str, new: str) -> Iterator[Change]:
    if not (old.startswith("(") and new.startswith("(")):
        breaks = not _grew(old, new)
        yield Change(path, f"was `{old or 'unset'}`, is `{new or 'unset'}`", breaks)
        return
    before, now = _function(old), _function(new)
    broken = set()
    for breakage in griffe.find_breaking_changes(before.parent, now.parent):
        parameter = breakage.old_value or breakage.new_value
        broken.add(parameter.name)
        yield Change(path, f"{breakage.kind.value.lower()}: {old} -> {new}", True, parameter.name)
    names = {p.name for p in before.parameters}
    for parameter in now.parameters:
        if parameter.name not in names | broken:
            yield Change(path, "parameter is new", False, parameter.name)


def _grew(old: str, new: str) -> bool:
    """Return whether a tuple has all that it had before, such as the kinds of component."""
    try:
        before, now = (ast.literal_eval(text.removeprefix("= ")) for text in (old, new))
    except (SyntaxError, ValueError):
        return False
    return isinstance(before, tuple) and isinstance(now, tuple) and {*before} <= {*now}


def _function(signature: str) -> griffe.Function:
    """Return a function with these parameters, as griffe sees it."""
    module = griffe.visit("api", Path("api.py"), f"def called{signature}: ...\n")
    function = module["called"]
    assert isinstance(function, griffe.Function)
    return function
