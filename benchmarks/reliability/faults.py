"""Faults injected at each system call of a save, and at some calls of a whole run.

`faults.c` is built with the C compiler and preloaded into a process that forks one child for each
fault. After a fault the last checkpoint has to be the complete old or new one, and the error has to
be one line. The next save, or the resumed run, has to leave exactly the files and the bits that it
leaves without a fault.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from families import forked, overrides, same_tensors

HERE = Path(__file__).parent
SHORT, KILL_BEFORE, KILL_AFTER = -1, -2, -3
FAULTS = (errno.EIO, errno.ENOSPC, errno.EACCES, SHORT, KILL_BEFORE, KILL_AFTER)
KILLS = (KILL_BEFORE, KILL_AFTER)
IN_A_RUN = "gan.mnist"

Result = tuple[dict[str, int], list[str]]
"""Counts by name, and losses, one line each."""


def row(kind: str, count: int, seed: int) -> Result:
    """Return the counts of the faults in `saves` or `runs`, and the losses.

    Args:
        kind: One of `ROWS`.
        count: Number of faults, at most all that are possible.
        seed: Seed of the choice of faults.

    Raises:
        SystemExit: If there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise SystemExit("faults are injected on Linux with a C compiler (cc)")
    with TemporaryDirectory() as folder:
        library = Path(folder) / "faults.so"
        source = HERE / "faults.c"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True
        )
        environment = {**os.environ, "LD_PRELOAD": str(library)}
        command = [sys.executable, __file__, kind, str(count), str(seed), str(library), folder]
        process = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    counts, lost = json.loads(process.stdout)
    return counts, lost


ROWS = ("saves", "runs")


class Injector:
    """The preloaded library.

    Args:
        library: Path of the library.
    """

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)

    def child(self, work: Callable[[], object], folder: Path, nth: int, fault: int) -> int:
        """Run a function in a child with a fault at its N-th call; return the child's exit status.

        The number of calls is in the file `counted` beside the folder, and the output in `log`.
        """

        def armed() -> None:
            self._library.arm(str(folder).encode(), nth, fault)
            try:
                work()
            finally:
                count = self._library.counted()
                (folder.parent / "counted").write_text(str(count))

        log = folder.parent / "log"
        log.unlink(missing_ok=True)
        status = os.waitpid(forked(armed, log), 0)[1]
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _saves(injector: Injector, root: Path, count: int, seed: int) -> Result:
    """Inject faults into saves of a checkpoint, over older ones and into an empty folder."""
    import torch

    from gvt.checkpoint.training import CheckpointFolder

    def state(step: int) -> tuple[dict, dict]:
        weights = torch.arange(50_000.0) * step
        training = {"step": step, "epoch": 0, "position": step, "metrics": {}, "best": None}
        training |= {"optimizer_values": {}, "scalers": {}}
        return {"training": training}, {"task/a": weights, "task/b": weights[:7] + 1}

    def save(folder: Path, step: int) -> None:
        CheckpointFolder(folder, keep=1).save(state(step), is_best=True)

    def prepared(over: bool) -> Path:
        shutil.rmtree(root / "run", ignore_errors=True)
        folder = root / "run" / "checkpoints"
        folder.parent.mkdir()
        if over:
            save(folder, 1)
        return folder

    def check(folder: Path, over: bool, status: int) -> list[str]:
        problems = _problems_of_ending(root, status)
        for path in sorted(folder.glob("[!.]*.safetensors")):
            problems += _problems_of_checkpoint(path, [state(1)[1], state(2)[1]])
        if over and not (folder / "last.safetensors").exists():
            problems.append("the last checkpoint is gone")
        save(folder, 3)
        names = sorted(path.name for path in folder.parent.rglob("*") if path.is_file())
        if names != ["best.safetensors", "last.safetensors", "step_00000003.safetensors"]:
            problems.append(f"after the next save there are {', '.join(names)}")
        return problems

    lost: list[str] = []
    injected = 0
    cases = []
    for over in (True, False):
        folder = prepared(over)
        injector.child(lambda f=folder: save(f, 2), folder.parent, 0, 0)
        calls = int((root / "counted").read_text())
        cases += [(over, nth, fault) for nth in range(1, calls + 1) for fault in FAULTS]
    random.Random(seed).shuffle(cases)
    for over, nth, fault in cases[:count]:
        folder = prepared(over)
        status = injector.child(lambda f=folder: save(f, 2), folder.parent, nth, fault)
        injected += 1
        lost += [f"call {nth}, {_named(fault)}: {p}" for p in check(folder, over, status)]
    return {"faults": injected, "possible": len(cases)}, lost


def _runs(injector: Injector, root: Path, count: int, seed: int) -> Result:
    """Inject faults into whole runs, which are then resumed."""
    import gvt
    from gvt.checkpoint import file as checkpoint_file

    def start(folder: Path) -> None:
        gvt.run(IN_A_RUN, *overrides(IN_A_RUN, folder), quiet=True)

    def resume(folder: Path) -> None:
        configs = list(folder.glob("*/*/config.yaml"))
        gvt.resume(configs[0].parent, quiet=True) if configs else start(folder)

    undisturbed = root / "undisturbed" / "runs"
    undisturbed.mkdir(parents=True)
    injector.child(lambda: start(undisturbed), undisturbed, 0, 0)
    calls = int((undisturbed.parent / "counted").read_text())
    (last,) = undisturbed.glob("*/*/checkpoints/last.safetensors")
    _, expected = checkpoint_file.load(last)
    cases = [(nth, fault) for nth in range(1, calls + 1) for fault in FAULTS]
    lost: list[str] = []
    for nth, fault in random.Random(seed).sample(cases, min(count, len(cases))):
        folder = root / "run" / "runs"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        status = injector.child(lambda f=folder: start(f), folder, nth, fault)
        problems = _problems_of_ending(folder.parent, status)
        log = folder.parent / "log"
        if os.waitpid(forked(lambda f=folder: resume(f), log), 0)[1]:
            problems.append(f"cannot be resumed: {log.read_text().splitlines()[-1]}")
        else:
            (path,) = (p.with_name("checkpoints") for p in folder.glob("*/*/config.yaml"))
            problems += _problems_of_checkpoint(path / "last.safetensors", [expected])
        lost += [f"call {nth}, {_named(fault)}: {p}" for p in problems]
    return {"faults": min(count, len(cases)), "possible": len(cases)}, lost


def _problems_of_ending(root: Path, status: int) -> list[str]:
    """Return the problems with a child's exit: it may succeed, be killed, or fail in one line."""
    if status in (0, -signal.SIGKILL):
        return []
    lines = (root / "log").read_text().strip().splitlines()
    errors = [line for line in lines if not line.startswith("warning")]
    return [] if status == 1 and len(errors) == 1 else [f"ended with {status}: {lines[-3:]}"]


def _problems_of_checkpoint(path: Path, allowed: list[dict]) -> list[str]:
    """Return the problems with a checkpoint that should have one of several sets of tensors."""
    import gvt
    from gvt.checkpoint import file as checkpoint_file

    try:
        _, tensors = checkpoint_file.load(path)
    except gvt.GvtError as error:
        return [str(error)]
    if any(same_tensors(tensors, one) for one in allowed):
        return []
    return [f"{path.name} has other tensors than those that were saved"]


def _named(fault: int) -> str:
    names = {SHORT: "short write", KILL_BEFORE: "killed before", KILL_AFTER: "killed after"}
    return names.get(fault) or errno.errorcode[fault]


def main() -> None:
    kind, count, seed, library, root = sys.argv[1:]
    inject = {"saves": _saves, "runs": _runs}[kind]
    print(json.dumps(inject(Injector(library), Path(root), int(count), int(seed))))


if __name__ == "__main__":
    main()
