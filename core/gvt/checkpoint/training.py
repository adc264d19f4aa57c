"""Save the checkpoints of a run, and load weights from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gvt.checkpoint import file
from gvt.checkpoint.bounded import shortened
from gvt.checkpoint.document import read_header
from gvt.device.sharding import distributed_like
from gvt.errors import CheckpointError
from gvt.files import make_folder, remove_unfinished
from gvt.finite import has_finite_losses

State = tuple[dict[str, Any], dict[str, Tensor]]
"""The document and the tensors of a checkpoint."""

LAST = "last.safetensors"
"""File name of the newest checkpoint of a run."""


def load_weights(module: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a module in place.

    Raises:
        CheckpointError: If a name or a shape differs.
    """
    targets = module.state_dict()
    check_fit(targets, tensors, "the weights")
    module.load_state_dict({n: distributed_like(t, tensors[n]) for n, t in targets.items()})


def check_fit(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that tensors have the names and shapes of the tensors that they are copied into.

    Args:
        targets: Tensors of the model.
        tensors: Tensors to copy.
        what: Plural noun for the tensors, for the message.

    Raises:
        CheckpointError: If a name or a shape differs.
    """
    problems = [f"{n} is missing" for n in targets if n not in tensors]
    problems += [f"{shortened(n)} is not part of this model" for n in tensors if n not in targets]
    problems += [
        f"{n} is {tuple(tensors[n].shape)}, it should be {tuple(t.shape)}"
        for n, t in targets.items()
        if n in tensors and tensors[n].shape != t.shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckpointError(f"{what} are of another model: {problems[0]}{more}")


def under(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values whose names begin with a prefix, by their names without it."""
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


class CheckpointFolder:
    """The checkpoints of a run: the last, the best, and numbered ones.

    Args:
        folder: Folder of the checkpoints.
        keep: Number of numbered checkpoints to keep.
        document: Document of each checkpoint, besides the training state.
    """

    def __init__(self, folder: Path, keep: int = 0, document: Mapping[str, Any] = {}) -> None:
        self.folder, self._keep, self._document = folder, keep, document

    @property
    def last(self) -> Path:
        """Path of the newest checkpoint, which may not exist yet."""
        return self.folder / LAST

    def save(self, state: State, is_best: bool) -> Path:
        """Write the newest checkpoint and copies of it, and return its path.

        Raises:
            CheckpointError: If it cannot be written. The previous one is then unchanged.
        """
        document, tensors = state
        step = document["training"]["step"]
        with file.explained_errors(self.folder):
            make_folder(self.folder)
            remove_unfinished(self.folder)
        numbered = self.folder / f"step_{step:08d}.safetensors"
        # `last` is written last, since its document names the best one, which has to exist.
        paths = [self.folder / "best.safetensors"] if is_best else []
        paths += [numbered, self.last] if self._keep else [self.last]
        file.save(paths[0], tensors, {**self._document, **document})
        for path in paths[1:]:
            file.copy(paths[0], path)
        self._prune(numbered)
        return self.last

    def sound(self) -> Path | None:
        """Return the newest checkpoint that a run can be resumed from; None if there is none.

        Checkpoints with held-out losses that are not finite are skipped. The weights are always
        finite, since others are not saved.
        """
        steps: dict[Path, int] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                training = read_header(path).document.get("training")
            except CheckpointError:  # a run cannot be resumed from a damaged one
                continue
            if training is not None and has_finite_losses(training["metrics"]):
                steps[path] = training["step"]
        return max(steps, key=lambda path: (steps[path], path == self.last), default=None)

    def _prune(self, newest: Path) -> None:
        """Delete old numbered checkpoints, and those after the step that a run was resumed from."""
        paths = sorted(self.folder.glob("step_*.safetensors"))
        if self._keep:
            past = [path for path in paths if path <= newest]
            for path in {*paths} - {*past[-self._keep :]}:
                path.unlink()
