"""Two processes of which one fails: the error of the other one, and the log."""

import json
import os
import socket
import subprocess
import sys

import pytest

from gvt.device.processes import GRACE_SECONDS

FAULTY = '''
"""Images that fail in the third step of one process, as set by environment variables."""

import os
import signal
import time

import torch

import gvt
from gvt_registry import Component, hookimpl


class Faulty:
    splits = ("train",)
    classes = ("dark", "bright")
    image_shape = (1, 8, 8)

    def __init__(self, split):
        self.fault = os.environ.get("FAULT") if os.environ["RANK"] == os.environ["WHO"] else None

    def __len__(self):
        return 32

    def __getitem__(self, index):
        image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(index))
        if self.fault and index > 7:  # step 3
            if self.fault == "raise":
                raise ValueError("a broken image")
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "hang":
                time.sleep(600)
            image = image * float("nan")
        return gvt.Sample({"image": image}, {"class": index % 2}, gvt.Record(str(index), (8, 8)))


@hookimpl
def gvt_components():
    yield Component("dataset", "faulty", f"{__name__}:Faulty", "fails")
'''

RECIPE = """
task: {name: heads}
data: {name: faulty, batch_size: 2, shuffle: false, workers: 0}
backbone: {name: small_cnn, widths: [4]}
heads: {class: {name: classifier}}
optimizers: {model: {name: SGD, lr: 0.01}}
train: {steps: 6, log_every: 1, checkpoint_every: 1}
device: cpu
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """Start two processes of a run, as a cluster's scheduler does; return them by rank."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    processes = []

    def start(*arguments, **variables):
        port = str(free_port())
        for rank in map(str, range(2)):
            environment = os.environ | {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WHO": "1"}
            environment |= {"OMP_NUM_THREADS": "1", **variables}
            # Without the sheet of samples, for which the first process reads all of them.
            environment |= {"GVT_BLOCK_PLUGINS": "report,tensorboard"}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "gvt", "--plugin", "faulty.py", *arguments],
                    cwd=tmp_path,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return processes[-2:]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def last_line(process, timeout=400):
    _, errors = process.communicate(timeout=timeout)
    return errors.splitlines()[-1]


def events(folder):
    (log,) = folder.glob("runs/*/*/metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row for row in rows if "event" in row]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "process 1 of 2 failed: sample 10: ValueError: a broken image"),
        ("nan", "process 1 of 2: the loss 'cross_entropy' became nan at step 3; "),
        ("kill", "process 1 of 2 ended without an error: it was killed, or its machine is down"),
        ("hang", "process 1 of 2 did not answer within 0.3 minutes (train.timeout)"),
    ],
)
def test_the_first_process_reports_why_another_one_failed(fault, reason, start, tmp_path):
    # Workers inherit the connections, and must not keep them open.
    overrides = {"hang": ["train.timeout=0.3"], "raise": ["data.workers=1"]}.get(fault, [])
    first, second = start("run", "recipe.yaml", *overrides, FAULT=fault)
    line = last_line(first)
    assert first.returncode == 1
    assert line.startswith(f"error: {reason}")
    (ended,) = events(tmp_path)
    # A loss is read when its step is done.
    assert (ended["outcome"], ended["step"]) == ("failure", 3 if fault == "nan" else 2)
    assert ended["error"].startswith(reason)
    if fault != "hang":
        second.communicate()
        assert second.returncode == (-9 if fault == "kill" else 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "process 0 of 2 failed: sample 8: ValueError: a broken image"),
        ("kill", "process 0 of 2 ended without an error: it was killed"),
    ],
)
def test_the_others_report_why_the_first_process_failed(fault, reason, start):
    first, second = start("run", "recipe.yaml", FAULT=fault, WHO="0")
    assert last_line(second, 400 + GRACE_SECONDS).startswith(f"error: {reason}")
    first.communicate()
    assert first.returncode in (1, -9)
    assert second.returncode == 1
