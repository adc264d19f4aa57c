"""From a text to the numbers of its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gvt import DataError

PADDING, UNKNOWN = 0, 1
"""Numbers of what comes before a short text, and of a word that is not in the vocabulary."""

_FIRST = 2
"""Number of the most frequent word."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_BREAK = re.compile(r"<br\s*/?>")


@dataclass(frozen=True)
class TextReader:
    """The vocabulary of a training, and how a text becomes numbers.

    Words are runs of letters and digits, also with apostrophes inside, in lower case. Line breaks
    of HTML separate words. The last `length` words are kept, since reviews end with a conclusion.

    Attributes:
        words: The words of the vocabulary, the most frequent first.
        length: Length of a sequence.
    """

    words: tuple[str, ...]
    length: int

    @classmethod
    def fitted(cls, texts: Iterable[str], size: int, length: int) -> TextReader:
        """Return a reader whose vocabulary has the most frequent words of some texts.

        Args:
            texts: Texts of the training split.
            size: Numbers in use: words, padding and unknown words. There are fewer if the texts
                have fewer words.
            length: Length of a sequence.
        """
        counts = Counter(word for text in texts for word in words_in(text))
        # By name among equally frequent words, so that the order of the texts changes nothing.
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[: size - _FIRST]), length)

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> TextReader:
        """Return the reader of a document, such as that of a checkpoint.

        Raises:
            DataError: If it is not the document of a text reader.
        """
        if document is None or document.get("field") != "tokens":
            raise DataError("data: has no texts; text_folder is a data set of texts")
        return cls(tuple(document["words"]), int(document["length"]))

    def document(self) -> dict[str, Any]:
        """Return the plain data that checkpoints hold."""
        return {"field": "tokens", "words": list(self.words), "length": self.length}

    @property
    def size(self) -> int:
        """Number of different tokens."""
        return len(self.words) + _FIRST

    def tokens(self, texts: Iterable[str]) -> Tensor:
        """Return the numbers of the last words of texts, (N, length) int64.

        A short text is padded at the front, so that the end of every text, where its conclusion
        is, has the same place.
        """
        rows = [self._sequence(text) for text in texts]
        return torch.tensor(rows, dtype=torch.int64).view(-1, self.length)

    def _sequence(self, text: str) -> list[int]:
        numbers = [self._numbers.get(word, UNKNOWN) for word in words_in(text)[-self.length :]]
        return [PADDING] * (self.length - len(numbers)) + numbers

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=_FIRST)}


def words_in(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(_prepared(text))


def places_in(text: str) -> list[tuple[int, int]]:
    """Return the start and the end of each word in a text."""
    return [match.span() for match in _WORD.finditer(_prepared(text))]


def _prepared(text: str) -> str:
    """Return a text of the same length in lower case, with spaces for HTML's line breaks."""
    # Turkish capital I with a dot is the only letter that is two characters in lower case.
    lower = text.replace("\u0130", "i").lower()
    return _BREAK.sub(lambda match: " " * len(match[0]), lower)
