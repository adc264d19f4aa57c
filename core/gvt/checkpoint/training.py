"""The checkpoints of a run, and loading weights from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gvt.checkpoint import file
from gvt.checkpoint.bounded import shortened
from gvt.checkpoint.document import read_header
from gvt.errors import CheckpointError
from gvt.files import make_folder, remove_unfinished
from gvt.finite import has_finite_losses

State = tuple[dict[str, Any], dict[str, Tensor]]
"""A document and tensors, as a checkpoint holds them."""

LAST = "last.safetensors"
"""What the newest checkpoint of a run is called."""


def load_weights(module: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a module in place.

    Raises:
        CheckpointError: If a name or a shape differs; says which, and how many.
    """
    check_fit(module.state_dict(), tensors, "the weights")
    module.load_state_dict(tensors)


def check_fit(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that tensors have the names and shapes of those that they are copied into.

    Raises:
        CheckpointError: If they have not.
    """
    problems = [f"{n} is missing" for n in own if n not in tensors]
    problems += [f"{_cut(n)} is not part of it" for n in tensors if n not in own]
    problems += [
        f"{n} is {tuple(tensors[n].shape)}, it takes {tuple(t.shape)}"
        for n, t in own.items()
        if n in tensors and tensors[n].shape != t.shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckpointError(f"{what} are of another model: {problems[0]}{more}")


def _cut(name: str) -> str:
    """Return a name from a file as a message repeats it: as it is, unless it is strange."""
    shown = shortened(name)
    return name if shown == f"'{name}'" else shown


def under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is named under a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}


class CheckpointFolder:
    """The checkpoints of a run: the last, the best, and numbered ones if they are kept.

    Args:
        folder: Where they are.
        keep: How many numbered ones to keep.
        document: What each says besides the training state.
    """

    def __init__(self, folder: Path, keep: int = 0, document: Mapping[str, Any] = {}) -> None:
        self.folder, self._keep, self._document = folder, keep, document

    @property
    def last(self) -> Path:
        """The newest checkpoint, once there is one."""
        return self.folder / LAST

    def save(self, state: State, is_best: bool) -> Path:
        """Write the newest checkpoint, and copies of it.

        Raises:
            CheckpointError: If it cannot be written; the previous one is still there then.
        """
        document, tensors = state
        step = document["training"]["step"]
        try:
            make_folder(self.folder)
            remove_unfinished(self.folder)
        except OSError as error:
            raise CheckpointError(
                f"{error.filename or self.folder}: cannot be written: {error.strerror}"
            ) from error
        numbered = self.folder / f"step_{step:08d}.safetensors"
        # `last` comes last: it says which is the best, and that has to stand already.
        paths = [self.folder / "best.safetensors"] if is_best else []
        paths += [numbered, self.last] if self._keep else [self.last]
        file.save(paths[0], tensors, {**self._document, **document})
        for path in paths[1:]:
            file.copy(paths[0], path)
        self._prune(numbered)
        return self.last

    def sound(self) -> Path | None:
        """Return the newest checkpoint that a run can go on from; None if there is none.

        Its weights are finite, or it would not have been saved. Those of a run whose held-out
        losses were not finite by then are passed over.
        """
        steps: dict[Path, int] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                training = read_header(path).document.get("training")
            except CheckpointError:  # a damaged one is none that a run can go on from
                continue
            if training is not None and has_finite_losses(training["metrics"]):
                steps[path] = training["step"]
        return max(steps, key=lambda path: (steps[path], path == self.last), default=None)

    def _prune(self, newest: Path) -> None:
        """Delete numbered checkpoints: old ones, and those of a future that a resumed run left."""
        found = sorted(self.folder.glob("step_*.safetensors"))
        if self._keep:
            past = [path for path in found if path <= newest]
            for path in {*found} - {*past[-self._keep :]}:
                path.unlink()
