"""Files named by paths that another machine or a labelling tool wrote."""

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
from .pairing import there

# Label Studio serves local files as `/data/local-files/?d=PATH`, and puts 8 hexadecimal digits
# before the name of a file that is uploaded.
_LOCAL_FILES, _UPLOADED = re.compile(r".*/local-files/\?d=([^&]*)"), re.compile(r"[0-9a-f]{8}-(.+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://([^?#]*)")

Parts = tuple[str, ...]


class RelocatedWarning(AssumedWarning):
    """Files are not where the data says, and were found by the ends of their paths."""


@dataclass(frozen=True)
class Located:
    """Where a file is.

    Attributes:
        path: The file, or where it would be.
        reason: Why none of the files with this ending was taken; empty where one was, or none has
            the ending.
    """

    path: Path
    reason: str = ""


class Locator:
    """Looks up files and folders below a root by paths as they are written in annotations.

    A path is first taken as it is, whether its letters are composed or not. Where no such file
    exists, the path may come from another machine: with backslashes, absolute, a URL, or with what
    a labelling tool puts before it. Then the file is the one below the root that has the most
    trailing parts in common with it; a difference in case or percent-encoding, or Label Studio's
    prefix of an uploaded file, does not matter. Nothing outside the root is looked at. The root is
    listed when the first path needs it.

    Args:
        root: The folder.
        split: The split that the paths are of. Folders that are called like another split are
            left out, unless a path names them. None where the paths are of all splits.
    """

    def __init__(self, root: Path, split: str | None = None) -> None:
        self.root, self._split = root, split
        self._listed: dict[frozenset[str], dict[str, list[PurePosixPath]]] = {}
        self._endings: dict[Parts, list[PurePosixPath]] = {(): []}

    def files(
        self, names: Sequence[str], source: Path, base: Path | None = None
    ) -> dict[str, Located]:
        """Return for each path where its file is, and warn once if some were found by their ends.

        Args:
            names: The paths, as they are written.
            source: The file that they are written in, for messages.
            base: The folder below the root that relative paths start from. None where no folder is
                known: then all are looked for by their ends.

        Raises:
            DataError: If a folder cannot be listed.
        """
        found: dict[str, Located] = {}
        moved: list[str] = []
        users: dict[Path, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            path = self._as_written(name, base)
            if path is None:
                found[name] = self._by_end(name, base)
                if there(found[name].path):
                    moved.append(name)
            else:
                found[name] = Located(path)
            users[found[name].path].append(name)
        for name in moved:
            path = found[name].path
            others = [other for other in users[path] if other != name]
            if others:
                reason = f"{_shown(name)} and {_shown(others[0])} may both be {printable(path)}"
                found[name] = Located(self._expected(name, base), reason)
        self._warn(source, len(found), {n: found[n].path for n in moved if not found[n].reason})
        return found

    def has(self, name: str, base: Path) -> bool:
        """Whether a path that starts from a folder below the root is right as it is written."""
        return self._as_written(name, base) is not None

    def folder(self, name: str) -> Path | None:
        """Return the folder below the root that a path names; None where there is none.

        Only folders that hold pictures are found by the end of a path.

        Raises:
            DataError: If several folders have the same ending.
        """
        parts = parts_of(name)
        if _is_folder(path := self.root.joinpath(*parts)):
            return path
        folders = self._ending_with(parts)
        if len(folders) > 1:
            raise DataError(
                f"{_shown(name)}: may be {_both(self.root, folders)}; write it as a path below "
                f"{printable(self.root)}"
            )
        return self.root / folders[0] if folders else None

    def _as_written(self, name: str, base: Path | None) -> Path | None:
        """Return a file that is where its path says, below the root."""
        path = PurePosixPath(name)
        if ".." in path.parts:
            return None
        if path.is_absolute():
            whole = self.root.absolute()
            inside = path.is_relative_to(whole) and there(Path(path))
            return self.root / path.relative_to(whole) if inside else None
        if base is None:
            return None
        if there(base / path):
            return base / path
        if name.isascii():
            return None
        # The same letters, composed in another way: a Mac writes `e` and its accent as two.
        key = composed((base / path).relative_to(self.root).as_posix())
        twins = [p for p in self._called(_key(path.name)) if composed(p.as_posix()) == key]
        return self.root / twins[0] if len(twins) == 1 else None

    def _by_end(self, name: str, base: Path | None) -> Located:
        """Return the file below the root whose path ends most like a name."""
        expected = self._expected(name, base)
        for parts in _readings(name):
            files = self._candidates(parts, base)
            if len(files) == 1:
                return Located(self.root / files[0])
            if files:
                return Located(expected, f"{_shown(name)} may be {_both(self.root, files)}")
        return Located(expected)

    def _candidates(self, parts: Parts, base: Path | None) -> list[PurePosixPath]:
        above, last = parts[:-1], parts[-1]
        files = self._called(_key(last))
        if not files:
            return []
        if base is not None and _is_folder(folder := base.joinpath(*above)):
            # Its folder is there, so that a file in another one is another file.
            files = [file for file in files if self.root / file.parent == folder]
        else:
            folders = self._ending_with(above)
            if folders:
                files = [file for file in files if file.parent in folders]
            files = [file for file in files if not self._of_another_split(file.parent, above)]
        exact = [file for file in files if composed(file.name) == composed(last)]
        return exact or files

    def _ending_with(self, parts: Parts) -> list[PurePosixPath]:
        """Return the folders of pictures that share the most trailing parts with a path."""
        if parts not in self._endings:
            shared = {
                folder: _shared(folder.parts, parts)
                for folder in self._folders.get(_key(parts[-1]), ())
                if not self._of_another_split(folder, parts)
            }
            most = max(shared.values(), default=0)
            self._endings[parts] = sorted(f for f, count in shared.items() if count == most > 0)
        return self._endings[parts]

    @cached_property
    def _folders(self) -> dict[str, list[PurePosixPath]]:
        """The folders below the root that hold pictures, by name."""
        folders: dict[str, list[PurePosixPath]] = defaultdict(list)
        for folder in {file.parent for of in self._index(SUFFIXES).values() for file in of}:
            folders[_key(folder.name)].append(folder)
        return folders

    def _of_another_split(self, folder: PurePosixPath, parts: Parts) -> bool:
        """Whether a folder is called like another split, where the path does not say so."""
        if self._split is None:
            return False
        unsaid = folder.parts[: len(folder.parts) - _shared(folder.parts, parts)]
        return any(split_of(part) not in (None, self._split) for part in unsaid)

    def _called(self, key: str) -> list[PurePosixPath]:
        """Return the files below the root that have a name."""
        suffix = PurePosixPath(key).suffix
        return self._index(SUFFIXES if suffix in SUFFIXES else frozenset({suffix})).get(key, [])

    def _index(self, suffixes: frozenset[str]) -> dict[str, list[PurePosixPath]]:
        """Return the files of some suffixes below the root, by name."""
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
    """Return the parts of a path that any system or labelling tool wrote.

    Schemes, hosts' queries, roots, `.` and a leading `..` are left out; `a/../b` is `b`.
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
    """Return how a path may be meant, the likeliest first."""
    parts = parts_of(name)
    decoded = parts_of(unquote(name))
    readings = [parts, decoded] if parts else []
    readings += [
        (*reading[:-1], uploaded[1])
        for reading in readings
        if reading and (uploaded := _UPLOADED.fullmatch(reading[-1]))
    ]
    return [reading for reading in dict.fromkeys(readings) if reading]


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many trailing parts two paths have in common."""
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


def _both(root: Path, files: Sequence[PurePosixPath]) -> str:
    more = f" ({len(files) - 2} more)" if len(files) > 2 else ""
    return " or ".join(printable(root / file) for file in files[:2]) + more


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
