"""Why processes of a run are missing, after an exchange between them failed.

Processes meet at a store of torch.distributed. A process that fails writes the reason there, so
that the other processes can report it instead of a closed connection.
"""

from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # not in all builds of torch
    from torch.distributed.distributed_c10d import Store

GRACE_SECONDS = 5.0
"""Seconds that a process waits for the states of the others after one was lost."""


def explanation(
    error: RuntimeError, rank: int, size: int, store: Store | None, minutes: float
) -> str:
    """Return which processes are missing and why, after an exchange failed.

    Args:
        error: The error of torch.distributed.
        rank: Rank of this process.
        size: Number of processes.
        store: Store for the reasons of failures.
        minutes: Minutes that processes wait for each other.
    """
    is_timeout = "imed out" in str(error)
    states = _states(rank, size, store, is_timeout)
    reasons = {n: why for n, (state, why) in states.items() if state == "failed"}
    absent = [n for n, (state, _) in states.items() if state == "absent"]
    if reasons:
        lines = [f"process {n} of {size} failed: {why}" for n, why in reasons.items()]
    elif absent:
        how = "ended without an error: it was killed, or its machine is down"
        if is_timeout:
            how = f"did not answer within {minutes:g} minutes (train.timeout)"
        lines = [f"process {n} of {size} {how}" for n in absent]
    elif is_timeout or any(why == "late" for _, why in states.values()):
        lines = [
            f"the processes waited for each other longer than {minutes:g} minutes; raise "
            "train.timeout if a step, an evaluation or a report may take so long"
        ]
    else:
        lines = [f"the processes lost their connection: {error}"]
    return "; ".join(lines)


def _states(
    rank: int, size: int, store: Store | None, is_timeout: bool
) -> dict[int, tuple[str, str]]:
    """Return the states of the other processes by rank, after an exchange failed.

    A state is `failed` with the reason, `present` with `late` if that process timed out, too,
    or `absent`.
    """
    states = {n: ("absent", "") for n in range(size) if n != rank}
    if store is None:
        return states if size == 2 else {}
    try:
        store.set(f"present/{rank}", "late" if is_timeout else "")
        deadline = time.monotonic() + GRACE_SECONDS
        while ("absent", "") in states.values() and time.monotonic() < deadline:
            for n, state in product(tuple(states), ("failed", "present")):
                key = f"{state}/{n}"
                if states[n][0] == "absent" and store.check([key]):
                    states[n] = (state, store.get(key).decode())
            time.sleep(0.05)
    except RuntimeError:  # the store was in the first process, which has ended
        return {0: ("absent", "")}
    return states
