"""A plugin that records the end of each step of a run: gvt run ... --plugin stopwatch.py

The times, in seconds, are written as a JSON list to the file STOPWATCH.
"""

import json
import os
import time
from pathlib import Path

from gvt_registry import hookimpl

_TIMES = []


@hookimpl
def gvt_step_ended():
    """Record the time."""
    _TIMES.append(time.perf_counter())


@hookimpl
def gvt_run_ended():
    """Write all times."""
    Path(os.environ["STOPWATCH"]).write_text(json.dumps(_TIMES), encoding="utf-8")
