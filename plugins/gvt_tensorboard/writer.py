"""A run's event file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from gvt.vision.drawing import save_matrix

GREY = 0.5
"""Of the lines between the pictures of a sheet."""

QUEUE = 1000
"""Numbers that the loop may be ahead of the thread: many, for they come in by whole readings."""


class EventWriter:
    """Writes numbers, texts and pictures by step, for TensorBoard to read.

    A thread writes, so that the loop need not wait; `flush` waits for it.

    Args:
        folder: Where the event file goes, beside those of the same run before it was resumed.
        step: Steps done. What the other files say of later ones counts no more, also where this
            is 0: a run that was killed before its first checkpoint begins again in its folder.

    Raises:
        OSError: If the folder cannot be written to; of the thread's writing, by a later call.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), max_queue=QUEUE, purge_step=step + 1)

    def scalars(self, rows: Iterable[tuple[int, Mapping[str, float]]], prefix: str = "") -> None:
        """Write (step, numbers by name) as the curves `<prefix><name>`, in float32."""
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(f"{prefix}{name}", value, step)

    def sheet(self, name: str, pictures: Tensor, step: int) -> None:
        """Write pictures in [0, 1] as one image.

        Args:
            name: Of the image.
            pictures: (rows, columns, C, H, W), or (N, C, H, W) for a square sheet; C is 1 or 3.
            step: Steps done.
        """
        arranged = pictures.ndim == 5
        columns = pictures.shape[1] if arranged else math.ceil(math.sqrt(len(pictures)))
        tiles = (pictures.flatten(0, 1) if arranged else pictures).float()
        grid = make_grid(tiles, nrow=columns, pad_value=GREY)
        # As bytes, for of floats TensorBoard's writer would cut the fraction off.
        self._writer.add_image(name, grid.mul(255).round().byte(), step)

    def table(self, name: str, table: Tensor, step: int) -> None:
        """Write a (K, K) table of counts as one image, like that of the run's folder.

        The classes are numbered; rows are the truth.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "table.png")
            save_matrix(table, (), path, title=name)
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def text(self, name: str, markdown: str, step: int) -> None:
        """Write a text in Markdown."""
        self._writer.add_text(name, markdown, step)

    def code(self, name: str, text: str, step: int) -> None:
        """Write a text that is shown as it stands."""
        self.text(name, indent(text, "    "), step)

    def flush(self) -> None:
        """Wait until everything is written."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._writer.close()
