"""Processes that are killed while saving."""

import re
import subprocess
import sys
from textwrap import dedent

import pytest

import gvt
from gvt.checkpoint import file

pytestmark = pytest.mark.usefixtures("drawn")

RECIPE = [
    *("data.classes=[3, 5]", "data.holdout=500", "data.batch_size=32", "train.steps=2"),
    *("evaluate.final=null", "backbone.widths=[4, 4]"),
    *("heads.digit.hidden=[4]", "train.keep=2"),
]

KILLS = """
    import os, signal, sys
    from pathlib import Path
    from gvt.files import replacing
    from gvt.checkpoint import file
    from gvt.checkpoint.training import CheckpointFolder

    run = Path(sys.argv[1])
    document, tensors = file.load(run / "checkpoints" / "last.safetensors")
    training = document.pop("training")
    real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "close")}
    left = 0

    def killing(name):
        def call(*arguments, **settings):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real[name](*arguments, **settings)
        return call

    def save(step):
        folder = CheckpointFolder(run / "checkpoints", keep=2, document=document)
        folder.save(({"training": {**training, "step": step}}, tensors), is_best=True)
        for name in ("report.html", "losses.png"):
            with replacing(run / name) as target:
                target.write(b"half")

    killed = 0
    for calls in range(1, 30):
        child = os.fork()
        if child == 0:
            for name in real:
                setattr(os, name, killing(name))
            left = calls
            save(2 + calls % 2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    print(killed, len(list(run.rglob(".unfinished.*"))))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_files_of_a_killed_save_are_removed(tmp_path):
    undisturbed = gvt.run("classify.mnist", *RECIPE, f"run.root={tmp_path / 'a'}", quiet=True)
    run = gvt.run("classify.mnist", *RECIPE, f"run.root={tmp_path / 'b'}", quiet=True)
    ended = subprocess.run(
        [sys.executable, "-c", dedent(KILLS), str(run.folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    killed, unfinished = map(int, ended.stdout.split())
    assert killed > 10
    assert unfinished > 0  # or the kills were at the wrong moments
    for path in (run.folder / "checkpoints").glob("*.safetensors"):
        file.load(path)
    resumed = [gvt.resume(r.folder, "train.steps=4", quiet=True) for r in (undisturbed, run)]
    files = [
        sorted(re.sub(r"step_\d+|tfevents.*", "", p.name) for p in r.folder.rglob("*"))
        for r in resumed
    ]
    assert files[0] == files[1]
