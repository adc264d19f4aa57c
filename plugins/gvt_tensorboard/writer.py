"""The event file of a run."""

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
"""Grey value of the lines between the images of a sheet."""

QUEUE = 1000
"""Number of events that may be queued; large, because losses arrive in batches of many steps."""


class EventWriter:
    """Writes numbers, texts and images by step in the format of TensorBoard.

    A thread writes, so that the loop does not wait; `flush` waits for it.

    Args:
        folder: The folder of the event file; it may have files of the same run before it was
            resumed.
        step: Number of training steps. TensorBoard drops later steps in the other files, also if
            it is 0: a run that was killed before its first checkpoint starts again in its folder.

    Raises:
        OSError: If the folder cannot be written to; errors of the thread are raised by a later
            call.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), max_queue=QUEUE, purge_step=step + 1)

    def scalars(self, rows: Iterable[tuple[int, Mapping[str, float]]], prefix: str = "") -> None:
        """Write (step, numbers by name) as the scalars `<prefix><name>`, in float32."""
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(f"{prefix}{name}", value, step)

    def sheet(self, name: str, pictures: Tensor, step: int) -> None:
        """Write a sheet of images in [0, 1] as one image.

        Args:
            name: Name of the image.
            pictures: (rows, columns, C, H, W), or (N, C, H, W) for a square sheet; C is 1 or 3.
            step: Number of training steps.
        """
        arranged = pictures.ndim == 5
        columns = pictures.shape[1] if arranged else math.ceil(math.sqrt(len(pictures)))
        tiles = (pictures.flatten(0, 1) if arranged else pictures).float()
        grid = make_grid(tiles, nrow=columns, pad_value=GREY)
        # As bytes, because TensorBoard's writer truncates floats instead of rounding them.
        self._writer.add_image(name, grid.mul(255).round().byte(), step)

    def table(self, name: str, table: Tensor, step: int) -> None:
        """Write a (K, K) table of counts as one image, like that in the run folder.

        The classes are shown by index; rows are the true classes.
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
        """Write a text that is shown verbatim."""
        self.text(name, indent(text, "    "), step)

    def flush(self) -> None:
        """Wait until everything is written."""
        self._writer.flush()

    def close(self) -> None:
        """Write all remaining events, and end the thread."""
        self._writer.close()
