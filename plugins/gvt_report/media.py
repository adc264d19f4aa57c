"""The images, sounds and texts of run folders, for a page that makes no requests."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gvt.fields import SUFFIXES
from gvt.runs import RunFolder

from .sheets import sheets

LARGEST_SIDE = 1600
"""Maximum side in pixels; larger images are scaled down in the page, not in the folder."""

SMALL_SIDE = 480
"""Width in pixels to which narrower images are enlarged, by about an integer factor."""

LARGEST_FILE = 8 << 20
"""Maximum size in bytes of a sound or an animation; a larger one is named, and not in the page."""

LONGEST_TEXT = 20_000
"""Maximum number of characters of a text; a longer one is cut in the page."""

_TYPES = {".wav": "audio/wav", ".gif": "image/gif", ".webp": "image/webp", ".png": "image/png"}


@dataclass(frozen=True)
class Medium:
    """A file in the page.

    Attributes:
        kind: `image`, `sound` or `text`.
        uri: The content of an image or a sound, as a data URI.
        text: The content of a text.
        size: Width and height that an image is shown in, in pixels.
        enlarged: Whether the image is enlarged.
    """

    kind: str
    uri: str = ""
    text: str = ""
    size: tuple[int, int] = (0, 0)
    enlarged: bool = False


@dataclass(frozen=True)
class Picture:
    """What has one title in a run: an image, a text, or a sound with its spectrogram.

    Attributes:
        media: The files, in the order of `SUFFIXES`.
        note: A note beside the title, such as the step.
    """

    media: list[Medium]
    note: str


def pictures_of(
    folders: Sequence[RunFolder],
) -> tuple[list[tuple[str, list[Picture | None]]], list[tuple[str, str]]]:
    """Return the picture of each run by title, and the files that cannot be shown, with reasons."""
    pictures: dict[str, list[Picture | None]] = {}
    unreadable = []
    for place, folder in enumerate(folders):
        for title, note, paths in _titled(folder):
            media = []
            for path in sorted(paths, key=lambda path: SUFFIXES.index(path.suffix)):
                try:
                    media.append(_medium(path))
                except (OSError, Image.DecompressionBombError) as error:
                    unreadable.append((str(path), str(error)))
            if media:
                pictures.setdefault(title, [None] * len(folders))[place] = Picture(media, note)
    return list(pictures.items()), unreadable


def _titled(folder: RunFolder) -> Iterator[tuple[str, str, list[Path]]]:
    """Yield the title, note and paths of each picture of a run, the most important first."""
    last: dict[str, tuple[int, list[Path]]] = {}
    for name, step, path in sheets(folder.samples):
        before, paths = last.get(name, (step, []))
        last[name] = (step, [*paths, path] if before == step else [path])
    yield from ((name, f"step {step:,}", paths) for name, (step, paths) in last.items())
    groups = {"the first picture over the run": [folder.progress]}
    for path in _shown(folder.evaluations.glob("*")):
        groups.setdefault(path.stem.replace("_", " "), []).append(path)
    groups["losses of the phases"] = [folder.scatter_plot]
    for path in _shown(folder.path.glob(f"{folder.data.stem}[._]*")):
        name = path.stem.removeprefix(folder.data.stem).replace("_", " ")
        groups.setdefault(f"training data{name}", []).append(path)
    for title, paths in groups.items():
        if files := [path for path in paths if path.is_file()]:
            yield title, "", files


def _shown(paths: Iterable[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix in SUFFIXES and not p.name.startswith("."))


def _medium(path: Path) -> Medium:
    """Return the content of a file.

    Raises:
        OSError: If the file is not of the format of its suffix, is truncated, or is too large.
    """
    content = path.read_bytes()
    if path.suffix == ".txt":
        text = content.decode(errors="replace")
        cut = f"{text[:LONGEST_TEXT]}\n... {len(text) - LONGEST_TEXT:,} more characters in {path}"
        return Medium("text", text=cut if len(text) > LONGEST_TEXT else text)
    if path.suffix != ".png" and len(content) > LARGEST_FILE:
        raise OSError(f"its {len(content):,} bytes are too many for the page")
    if path.suffix == ".wav":
        if content[:4] + content[8:12] != b"RIFFWAVE":
            raise OSError("it is not a WAV file")
        return Medium("sound", _uri(path, content))
    with Image.open(path) as image:
        image.load()
        small = image.copy()
    if path.suffix == ".png" and max(small.size) > LARGEST_SIDE:
        small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        stream = io.BytesIO()
        small.save(stream, "PNG")
        content = stream.getvalue()
    scale = max(1, round(SMALL_SIDE / small.width))
    size = small.width * scale, small.height * scale
    return Medium("image", _uri(path, content), size=size, enlarged=scale > 1)


def _uri(path: Path, content: bytes) -> str:
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(content).decode('ascii')}"
