"""Data set of your own texts: one folder for each class, or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PositiveInt

from gvt import DataError, DataInfo, Record, Sample
from gvt.printable import printable

from .reader import TextReader
from .texts import LAYOUT, SPLITS, Text, divided, read_splits


class TextFolder:
    """Texts with one class each, as `tokens`, and as `text` for people to read.

    A root has a folder of `.txt` files for each class, or it is a table, `.csv` or `.jsonl`,
    gzipped or not, with a text and its class in each line. It may have `train`, `val` and `test`,
    each a folder of class folders or a table. Texts are UTF-8 and are read when it is opened.

    The vocabulary is that of the training split. Other splits, and evaluations of a checkpoint, get
    it from `reader`.

    Args:
        split: `train`, `val` or `test`.
        root: Folder or table.
        about: Where to get the data, as a clause that ends the error if there is no such root.
        text: Column of the text in tables.
        label: Column of the class in tables.
        classes: Classes to use, in the order of their indices; all by default.
        vocabulary: Number of different tokens: padding, unknown words, and the most frequent words.
        length: Length of a sequence. The last words of longer texts are kept.
        val: Share of the training texts for `val`, if it has no folder or table.
        test: The same for `test`.
        split_seed: Seed of the choice, which also depends on the name of each text.
        reader: Document of the reader of the training split.

    Raises:
        DataError: If the root is missing, its layout is ambiguous, a file cannot be read, or the
            split has no texts.
        ValueError: If a share or class is impossible.
    """

    splits: ClassVar[tuple[str, ...]] = tuple(SPLITS)

    def __init__(
        self,
        split: str,
        root: str,
        about: str = "",
        text: str = "text",
        label: str = "label",
        classes: list[int | str] | None = None,
        vocabulary: Annotated[int, Field(ge=3)] = 10_000,
        length: PositiveInt = 200,
        val: float = 0.0,
        test: float = 0.0,
        split_seed: int = 0,
        reader: Mapping[str, Any] | None = None,
    ) -> None:
        path = Path(root).expanduser()
        if not path.exists():
            message = f"data.root: there is no file or folder {str(path)!r}; {about or LAYOUT}"
            raise DataError(message)
        chosen = None if classes is None else [str(name) for name in classes]
        by_split = read_splits(path, (text, label), chosen)
        names = _classes(chosen, sorted({t.label for texts in by_split.values() for t in texts}))
        by_split = divided(by_split, {"val": val, "test": test}, split_seed)
        texts = by_split[split]
        if not texts:
            raise DataError(
                f"data.root: split {split} of {str(path)!r} has no texts; {about or LAYOUT}"
            )
        self.reader = _reader(by_split["train"], vocabulary, length, reader)
        self.split = split
        self._texts = texts
        self._tokens = self.reader.tokens(text.text for text in texts).int()
        labels = torch.tensor([names.index(text.label) for text in texts])
        self.info = DataInfo(
            names,
            None,
            fingerprint=_fingerprint(texts),
            reader=self.reader.document(),
            labels=labels,
        )

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Write texts of two classes, and return the parameters that read them."""
        for number in range(24):
            name = "even" if number % 2 == 0 else "odd"
            path = folder / name / f"{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number} is an {name} number", encoding="utf-8")
        return {"root": str(folder), "length": 8}

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, index: int) -> Sample:
        """Return the `text`, to be read, and its `tokens`, (length,) int64, with `class` ()."""
        assert self.info.labels is not None
        inputs = {"text": self._texts[index].text, "tokens": self._tokens[index].long()}
        return Sample(inputs, {"class": self.info.labels[index]}, self.record(index))

    def record(self, index: int) -> Record:
        """Return the origin of a text."""
        return Record(self._texts[index].name, (0, 0), None)


def _reader(
    train: Sequence[Text], vocabulary: int, length: int, document: Mapping[str, Any] | None
) -> TextReader:
    """Return the reader of a document, or else one fitted on the training texts."""
    if document is not None:
        return TextReader.from_document(document)
    if not train:
        raise DataError("data: there are no training texts, which the vocabulary is taken from")
    return TextReader.fitted((text.text for text in train), vocabulary, length)


def _classes(chosen: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen classes; all available ones by default."""
    if chosen is None:
        return tuple(available)
    if not chosen or len({*chosen}) < len(chosen) or not {*chosen} <= {*available}:
        raise ValueError(
            f"classes {list(chosen)}: give names of classes, each once; there are "
            f"{printable(', '.join(available)) or 'none'}"
        )
    return tuple(chosen)


def _fingerprint(texts: Sequence[Text]) -> str:
    """Return a short text that changes with the texts, their classes or their order."""
    content = sha256()
    for text in texts:
        content.update(f"{text.label}\0{text.text}\0".encode(errors="surrogatepass"))
    return content.hexdigest()[:16]
