"""A convolution over the words of a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gvt import Backbone, Dropout

from .reader import TextReader


class TextCNN(Backbone):
    """Word embedding, dropout, and a valid convolution over neighbouring words with ReLU.

    Its only map is `words`, (N, filters, 1, L - width + 1) for texts of L tokens. Weights begin as
    in Keras: the embedding uniform in [-0.05, 0.05], the filters Glorot uniform.

    Args:
        reader: Document of the text reader of the data.
        embedding: Length of the vector of a word.
        dropout: Share of the values of the embedding that are dropped in training.
        filters: Number of filters.
        width: Words that a filter sees at a time.

    Raises:
        ValueError: If the texts are shorter than a filter.
    """

    reads = ("tokens",)

    def __init__(
        self,
        reader: Mapping[str, Any],
        embedding: PositiveInt = 256,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
        filters: PositiveInt = 256,
        width: PositiveInt = 3,
    ) -> None:
        super().__init__()
        texts = TextReader.from_document(reader)
        if texts.length < width:
            raise ValueError(f"width {width}: texts of {texts.length} words are too short for it")
        self.embedding = nn.Embedding(texts.size, embedding)
        self.dropout = Dropout(dropout)
        self.convolution = nn.Conv1d(embedding, filters, width)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        nn.init.xavier_uniform_(self.convolution.weight)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        self.feature_info = {"words": (filters, 1)}

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return the parameters of a small network."""
        reader = TextReader(("a", "b", "c"), 16).document()
        return {"reader": reader, "embedding": 4, "filters": 5}

    @staticmethod
    def gvt_inputs(count: int) -> tuple[Tensor, ...]:
        """Return tokens for the network of the example."""
        return (torch.arange(16 * count).view(count, 16) % 5,)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return the map of the words, for tokens (N, L) int64."""
        vectors = self.dropout(self.embedding(tokens)).transpose(1, 2)
        return {"words": self.convolution(vectors).relu().unsqueeze(2)}
