"""The errors of gvt. Each message is one line."""

from __future__ import annotations

from gvt_registry.errors import GvtError as GvtError  # noqa: PLC0414
from gvt_registry.errors import UsageError as UsageError  # noqa: PLC0414


class ConfigError(UsageError):
    """The recipe or an override is not valid, such as for an unknown key or a wrong type."""


class DataError(GvtError):
    """A data set is missing, unreadable or inconsistent."""


class CheckpointError(GvtError):
    """A checkpoint is missing, damaged, too new, or from another model."""


class HookError(GvtError):
    """A plugin's run hook raised, and the recipe says `run.hook_errors: stop`."""


class NonFiniteError(GvtError):
    """A loss or a weight became infinite or NaN."""


class OutOfMemoryError(GvtError):
    """The memory of the device is too small."""


class RunInUseError(GvtError):
    """Another process is writing into the run folder."""


class ProcessError(GvtError):
    """Another process of the run failed, was killed or does not respond."""


class Interrupted(KeyboardInterrupt):
    """The run was stopped after a complete step; the message says how to resume it."""

    def _render_traceback_(self) -> list[str]:
        """Return the line that a notebook shows instead of a traceback."""
        return [f"Interrupted: {self}"]
