"""A plugin that writes down when each step of a run ended: gvt run ... --plugin stopwatch.py

The times are those of a clock in seconds, as a JSON list in the file that STOPWATCH names.
"""

import json
import os
import time
from pathlib import Path

from gvt_registry import hookimpl

_TIMES = []


@hookimpl
def gvt_step_ended():
    """Take the time."""
    _TIMES.append(time.perf_counter())


@hookimpl
def gvt_run_ended():
    """Write all times down."""
    Path(os.environ["STOPWATCH"]).write_text(json.dumps(_TIMES), encoding="utf-8")
