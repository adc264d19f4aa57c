"""Resolve file paths written by another machine or by a labelling tool."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES

from ..listing import composed, files_below
from ..splits import split_of
from .annotation import AssumedWarning
from .pairing import is_folder, there

# Label Studio serves local files as `/data/local-files/?d=PATH`, and prefixes the name of an
# uploaded file with 8 hexadecimal digits.
_LOCAL_FILES, _UPLOADED = re.compile(r".*/local-files/\?d=([^&]*)"), re.compile(r"[0-9a-f]{8}-(.+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://([^?#]*)")

Parts = tuple[str, ...]


class RelocatedWarning(AssumedWarning):
    """Files are not where the data says, and were matched by the ends of their paths."""


@dataclass(frozen=True)
class Located:
    """The location of a file.

    Attributes:
        path: The file, or its expected path if it does not exist.
        reason: Why the match is ambiguous. Empty if a file was matched, or if no file has this
            ending.
    """

    path: Path
    reason: str = ""


class Locator:
    """Resolve paths from annotations to files and folders below a root.

    A path is first tried as written, in any Unicode normalisation. If no such file exists, the
    path may come from another machine: with backslashes, absolute, a URL, or with the prefix of a
    labelling tool. The file below the root that shares the most trailing parts with the path is
    then taken. Differences in case or percent-encoding, and Label Studio's prefix of an uploaded
    file, are ignored. Files outside the root are never used. The root is listed only if a path
    requires it.

    Args:
        root: The folder.
        split: The split of the paths. Folders named like another split are excluded unless a path
            names them. None for paths of all splits.
    """

    def __init__(self, root: Path, split: str | None = None) -> None:
        self.root, self._split = root, split
        self._listed: dict[frozenset[str], dict[str, list[PurePosixPath]]] = {}
        self._endings: dict[Parts, list[PurePosixPath]] = {(): []}

    def files(
        self, names: Sequence[str], source: Path, base: Path | None = None
    ) -> dict[str, Located]:
        """Return the location of each path's file, and warn once if paths were matched by ending.

        Args:
            names: The paths, as written.
            source: The file that contains the paths, for messages.
            base: The folder below the root that relative paths start from. None if it is unknown:
                all paths are then matched by their endings.

        Raises:
            DataError: If a folder cannot be listed.
        """
        locations: dict[str, Located] = {}
        matched: list[str] = []
        names_by_path: dict[Path, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            path = self._as_written(name, base)
            location = self._by_end(name, base) if path is None else Located(path)
            if path is None and there(location.path):
                matched.append(name)
            locations[name] = location
            names_by_path[location.path].append(name)
        for name in matched:
            path = locations[name].path
            rivals = [rival for rival in names_by_path[path] if rival != name]
            if rivals:
                reason = f"{_shown(name)} and {_shown(rivals[0])} may both be {printable(path)}"
                locations[name] = Located(self._expected(name, base), reason)
        paths = {name: locations[name].path for name in matched if not locations[name].reason}
        self._warn(source, len(locations), paths)
        return locations

    def has(self, name: str, base: Path) -> bool:
        """Return whether a path below a folder names a file exactly as written."""
        return self._as_written(name, base) is not None

    def folder(self, name: str) -> Path | None:
        """Return the folder below the root that a path names; None if there is none.

        Only folders that contain images are matched by the end of a path.

        Raises:
            DataError: If several folders have the same ending.
        """
        parts = parts_of(name)
        if is_folder(path := self.root.joinpath(*parts)):
            return path
        folders = self._ending_with(parts)
        if len(folders) > 1:
            raise DataError(
                f"{_shown(name)}: may be {_first_two(self.root, folders)}; write it as a path "
                f"below {printable(self.root)}"
            )
        return self.root / folders[0] if folders else None

    def _as_written(self, name: str, base: Path | None) -> Path | None:
        """Return the file below the root that a path names as written; None if there is none."""
        path = PurePosixPath(name)
        if ".." in path.parts:
            return None
        if path.is_absolute():
            root = self.root.absolute()
            inside = path.is_relative_to(root) and there(Path(path))
            return self.root / path.relative_to(root) if inside else None
        if base is None:
            return None
        if there(base / path):
            return base / path
        if name.isascii():
            return None
        # The same letters in another normalisation: macOS writes `e` and its accent separately.
        key = composed((base / path).relative_to(self.root).as_posix())
        twins = [p for p in self._named(_key(path.name)) if composed(p.as_posix()) == key]
        return self.root / twins[0] if len(twins) == 1 else None

    def _by_end(self, name: str, base: Path | None) -> Located:
        """Return the file below the root that shares the longest ending with a path."""
        expected = self._expected(name, base)
        for parts in _readings(name):
            files = self._candidates(parts, base)
            if len(files) == 1:
                return Located(self.root / files[0])
            if files:
                return Located(expected, f"{_shown(name)} may be {_first_two(self.root, files)}")
        return Located(expected)

    def _candidates(self, parts: Parts, base: Path | None) -> list[PurePosixPath]:
        """Return the files that a path may mean, relative to the root."""
        above, last = parts[:-1], parts[-1]
        files = self._named(_key(last))
        if not files:
            return []
        if base is not None and is_folder(folder := base.joinpath(*above)):
            # The path's folder exists, so a file in another folder is a different file.
            files = [file for file in files if self.root / file.parent == folder]
        else:
            folders = self._ending_with(above)
            if folders:
                files = [file for file in files if file.parent in folders]
            files = [file for file in files if not self._of_another_split(file.parent, above)]
        return [file for file in files if composed(file.name) == composed(last)] or files

    def _ending_with(self, parts: Parts) -> list[PurePosixPath]:
        """Return the image folders that share the most trailing parts with a path."""
        if parts not in self._endings:
            lengths = {
                folder: _common_ending(folder.parts, parts)
                for folder in self._folders.get(_key(parts[-1]), ())
                if not self._of_another_split(folder, parts)
            }
            longest = max(lengths.values(), default=0)
            self._endings[parts] = sorted(f for f, n in lengths.items() if n == longest > 0)
        return self._endings[parts]

    @cached_property
    def _folders(self) -> dict[str, list[PurePosixPath]]:
        """The folders below the root that contain images, by name."""
        folders: dict[str, list[PurePosixPath]] = defaultdict(list)
        for folder in {file.parent for files in self._index(SUFFIXES).values() for file in files}:
            folders[_key(folder.name)].append(folder)
        return folders

    def _of_another_split(self, folder: PurePosixPath, parts: Parts) -> bool:
        """Return whether a folder is named like another split, and the path does not say so."""
        if self._split is None:
            return False
        above = folder.parts[: len(folder.parts) - _common_ending(folder.parts, parts)]
        return any(split_of(part) not in (None, self._split) for part in above)

    def _named(self, key: str) -> list[PurePosixPath]:
        """Return the files below the root with a name, as `_key` writes it."""
        suffix = PurePosixPath(key).suffix
        return self._index(SUFFIXES if suffix in SUFFIXES else frozenset({suffix})).get(key, [])

    def _index(self, suffixes: frozenset[str]) -> dict[str, list[PurePosixPath]]:
        """Return the files below the root with one of the suffixes, by name."""
        if suffixes not in self._listed:
            files: dict[str, list[PurePosixPath]] = defaultdict(list)
            for file in files_below(self.root, suffixes):
                files[_key(file.name)].append(file)
            self._listed[suffixes] = files
        return self._listed[suffixes]

    def _expected(self, name: str, base: Path | None) -> Path:
        return (base or self.root).joinpath(*parts_of(name))

    def _warn(self, source: Path, count: int, paths: dict[str, Path]) -> None:
        if paths:
            name, path = next(iter(paths.items()))
            warnings.warn(
                f"{printable(source)}: {len(paths):,} of {count:,} files are not where their paths "
                f"say, and were matched by their endings, such as {_shown(name)} to "
                f"{printable(path)}",
                RelocatedWarning,
                stacklevel=4,
            )


def parts_of(name: str) -> Parts:
    """Split a path in the syntax of any operating system or labelling tool into its parts.

    The scheme and query of a URL, the root, `.` and a leading `..` are dropped; `a/../b` is `b`.
    """
    if local := _LOCAL_FILES.match(name):
        name = unquote(local[1])
    elif url := _URL.match(name):
        name = url[1]
    parts: list[str] = []
    for part in re.split(r"[\\/]", name):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _readings(name: str) -> list[Parts]:
    """Return the possible readings of a path, the likeliest first."""
    parts = parts_of(name)
    decoded = parts_of(unquote(name))
    readings = [parts, decoded] if parts else []
    readings += [
        (*reading[:-1], uploaded[1])
        for reading in readings
        if reading and (uploaded := _UPLOADED.fullmatch(reading[-1]))
    ]
    return [reading for reading in dict.fromkeys(readings) if reading]


def _common_ending(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of trailing parts that two paths have in common."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if _key(one) != _key(other):
            break
        count += 1
    return count


def _key(part: str) -> str:
    return composed(part).casefold()


def _shown(name: str) -> str:
    text = printable(name)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _first_two(root: Path, files: Sequence[PurePosixPath]) -> str:
    more = f" ({len(files) - 2} more)" if len(files) > 2 else ""
    return " or ".join(printable(root / file) for file in files[:2]) + more
