"""What works with trained tasks: exporters and explainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from gvt.batch import Batch
from gvt.task import Deployed, Task


class Exporter(Protocol):
    """Writes the deployed form of a task in a format, such as ONNX.

    Attributes:
        suffix: Suffix of the file, such as `.onnx`; empty for a format that is a folder.
    """

    suffix: str

    def export(self, deployed: Deployed, examples: Sequence[Tensor], path: Path) -> None:
        """Write a deployed form.

        Args:
            deployed: The form of a task; its module is in eval mode, on the CPU.
            examples: A value of each input in their order, such as images (N, C, H, W).
            path: Path of the file or folder, which does not exist; its parent does.

        Raises:
            ConfigError: If a package is missing, or the format cannot express the module.
        """

    def load(self, path: Path) -> Callable[..., tuple[Tensor, ...]]:
        """Return a function that computes what `deployed.module` does, from the written file.

        Raises:
            ConfigError: If a package is missing.
        """


class Explainer(Protocol):
    """Shows which parts of an input a score depends on, such as the pixels of an image."""

    def __call__(
        self, task: Task, batch: Batch, score: Callable[[Batch], Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the relevance of the parts of the inputs, by field.

        It is positive for parts that raise the score, and finite: (N, H, W) for images, (N, L) for
        sequences. The task is left as it was: weights, buffers, gradients, mode and hooks.

        Args:
            task: The task in eval mode. Its modules may be observed while `score` is called.
            batch: The inputs of N samples, on the device.
            score: Returns the explained score of each sample, (N,), such as the logit of a class.
                It calls the task, and can be differentiated by floating-point inputs and by the
                outputs of modules.
        """
