"""The field `tokens`: texts as the numbers of their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt import Field, Frame, Record

from .arguments import texts_of
from .reader import PADDING, TextReader


class Tokens(Field):
    """Sequences of tokens, (L,) int64, which are padded at the front to the longest of a batch."""

    is_dense = True

    def collate(self, values: Sequence[Tensor], frame: Frame, records: Sequence[Record]) -> Tensor:
        """Return (N, L) int64."""
        longest = max(map(len, values))
        padded = [F.pad(value, (longest - len(value), 0), value=PADDING) for value in values]
        return torch.stack(padded).long()

    def files(self, value: Tensor, **about: Any) -> list[tuple[str, bytes]]:
        """Return the number of words of each sequence (N, L); a data set has their texts, too."""
        counts = (value != PADDING).sum(dim=1).tolist()
        return [(".txt", "".join(f"{count} words\n" for count in counts).encode())]

    def read(self, arguments: Sequence[str], reader: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
        """Return the tokens (L,) of sentences, text files and folders, each with its name.

        Raises:
            UsageError: If an argument is not a text, a file or a folder with texts.
            DataError: If a file cannot be read.
        """
        texts = TextReader.from_document(reader)
        return [(name, texts.tokens([text])[0]) for name, text in texts_of(arguments)]
