"""Prediction for inputs other than images, such as texts, which their field reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import torch

from gvt import Batch, DataError, Frame, Opened, Prediction, Record, UsageError
from gvt.device import explained_memory, keep_freed_memory
from gvt.fields import field_of
from gvt.predictions import by_head
from gvt.session import PathLike
from gvt_predict.result import Predicted, summary_of
from gvt_predict.settings import PredictConfig
from gvt_predict.writing import Writer, check_folder


class ValueJob:
    """Prediction of the values that a field reads from arguments; all are read on construction.

    Args:
        opened: The model.
        field: Name of the field, an input of the model.
        arguments: What is predicted, such as texts, and paths of files and folders.
        out: Folder for `predictions.jsonl`.

    Attributes:
        noun: What is predicted, for messages.
        sources: The name and the value of each input.
        out: Output folder, if any.

    Raises:
        UsageError: If an argument is wrong, the folder has other files, or the field reads none.
        DataError: If a file cannot be read.
    """

    noun: ClassVar[str] = "inputs"

    def __init__(
        self, opened: Opened, field: str, arguments: Sequence[PathLike], out: PathLike | None = None
    ) -> None:
        assert opened.info.reader is not None  # it names the field
        self.out = None if out is None else Path(out)
        if self.out is not None:
            check_folder(self.out)
        try:
            self.sources: list[tuple[str, Any]] = field_of(field).read(
                [str(argument) for argument in arguments], opened.info.reader
            )
        except NotImplementedError as error:
            raise UsageError(f"{opened.config.recipe}: {error}") from error
        self._opened, self._field = opened, field
        self._batch_size = opened.config.section("predict", PredictConfig).batch_size
        self._writer = None if self.out is None else Writer(self.out, {}, opened.info, 0.0)
        keep_freed_memory(opened.placement.device)

    def __iter__(self) -> Iterator[Predicted]:
        """Yield the result for each input once its line is written."""
        if self._writer is None:
            yield from self._results()
            return
        with closing(self._writer):
            for predicted in self._results():
                self._writer.line(predicted.summary)
                yield predicted

    def _results(self) -> Iterator[Predicted]:
        for start in range(0, len(self.sources), self._batch_size):
            part = self.sources[start : start + self._batch_size]
            for (name, _), prediction in zip(part, self._predictions(part), strict=True):
                yield self._result(name, by_head(prediction))

    def _predictions(self, part: Sequence[tuple[str, Any]]) -> list[Prediction]:
        placement, field = self._opened.placement, field_of(self._field)
        records = [Record(name, (0, 0)) for name, _ in part]
        values = field.collate([value for _, value in part], Frame(), records)
        batch = Batch({self._field: field.on_device(values, placement)}, records=records)
        with (
            explained_memory(placement, self._batch_size, 1),
            torch.no_grad(),
            placement.autocast(),
        ):
            return self._opened.task.predict(batch)

    def _result(self, name: str, parts: dict[str, Prediction]) -> Predicted:
        info = self._opened.info
        if spatial := {"boxes", "masks", "semantic"} & {
            key for part in parts.values() for key in part
        }:
            raise DataError(f"{name}: {', '.join(sorted(spatial))} are predictions for images only")
        cpu = {
            head: {key: value.cpu() for key, value in part.items()} for head, part in parts.items()
        }
        heads = {
            head: summary_of(part, info.classes, info.background) for head, part in cpu.items()
        }
        summary = {"heads": heads} if len(heads) > 1 else next(iter(heads.values()))
        prediction = cpu if len(cpu) > 1 else next(iter(cpu.values()))
        return Predicted(name, None, prediction, {"file": name, **summary})
