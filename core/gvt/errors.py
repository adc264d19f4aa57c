"""What can go wrong in a run, each as one clear line."""

from __future__ import annotations

from gvt_registry.errors import GvtError, UsageError


class ConfigError(UsageError):
    """The recipe or an override is wrong: an unknown key, a wrong type, an impossible pair."""


class DataError(GvtError):
    """A data set is absent, unreadable or not what it says."""


class CheckpointError(GvtError):
    """A checkpoint is missing, damaged, too new, or of another model."""


class HookError(GvtError):
    """A plugin's run hook raised, and the recipe says `run.hook_errors: stop`."""


class NonFiniteError(GvtError):
    """A loss or a weight became infinite or NaN."""


class OutOfMemoryError(GvtError):
    """The device's memory does not hold the step."""


class RunInUseError(GvtError):
    """Another process writes into the run's folder."""


class ProcessError(GvtError):
    """Another process of the run failed, was killed or does not answer."""


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and finished its step; the message says how it goes on."""


__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "GvtError",
    "HookError",
    "Interrupted",
    "NonFiniteError",
    "OutOfMemoryError",
    "ProcessError",
    "RunInUseError",
    "UsageError",
]
