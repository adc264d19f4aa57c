"""The event file of a run."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from gvt.vision.drawing import save_matrix

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

    def files(self, name: str, files: Sequence[tuple[str, bytes]], step: int) -> None:
        """Write files that show something: images and animations, sounds, and texts.

        Args:
            name: Name of the first file. Those of the others end in their suffix.
            files: The suffix and the content of each.
            step: Number of training steps.
        """
        for number, (suffix, content) in enumerate(files):
            tag = f"{name} {suffix[1:]}" if number else name
            if suffix == ".txt":
                self.code(tag, content.decode(), step)
            else:
                encode = _sound if suffix == ".wav" else _image
                summary = Summary(value=[encode(tag, content)])
                self._writer._get_file_writer().add_summary(summary, step)

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


def _image(tag: str, content: bytes) -> Summary.Value:
    """Return an image or an animation as it is, which TensorBoard shows like a browser."""
    with Image.open(io.BytesIO(content)) as image:
        size = {"width": image.width, "height": image.height}
    encoded = Summary.Image(colorspace=3, encoded_image_string=content, **size)
    return Summary.Value(tag=tag, image=encoded)


def _sound(tag: str, content: bytes) -> Summary.Value:
    """Return a WAV file as it is, with the numbers of its header."""
    channels, rate = struct.unpack_from("<HI", content, content.index(b"fmt ") + 10)
    about = {"num_channels": channels, "sample_rate": rate, "content_type": "audio/wav"}
    return Summary.Value(tag=tag, audio=Summary.Audio(encoded_audio_string=content, **about))
