"""From arguments of the command line to texts: sentences, files, and folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvt import UsageError
from gvt.printable import printable
from gvt.vision.pictures import files_in

from .texts import read_text

_LONGEST_NAME = 60
"""Characters of a sentence that name it in output."""


def texts_of(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name and the text of each argument.

    An argument is the path of a text file, the path of a folder, for all `.txt` files below it, or
    else a text itself.

    Raises:
        UsageError: If an argument is empty, looks like a path that does not exist, or is a folder
            without texts.
        DataError: If a file cannot be read.
    """
    texts = []
    for argument in arguments:
        path = Path(argument)
        if not argument.strip():
            raise UsageError("a text is empty; give a sentence, a text file or a folder")
        if not _exists(path):
            if len(argument.split()) == 1 and (path.suffix == ".txt" or len(path.parts) > 1):
                raise UsageError(f"{printable(argument)}: there is no such file or folder")
            short = argument if len(argument) <= _LONGEST_NAME else f"{argument[:_LONGEST_NAME]}..."
            texts.append((printable(short), argument))
        elif path.is_dir():
            names = [name for name in files_in(path) if name.suffix.lower() == ".txt"]
            if not names:
                raise UsageError(f"{printable(path)}: has no .txt files")
            texts += [(str(path / name), read_text(path / name)) for name in names]
        else:
            texts.append((str(path), read_text(path)))
    return texts


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a sentence may be too long for a path, or have null bytes
        return False
