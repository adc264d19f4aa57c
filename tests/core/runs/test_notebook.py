"""A run in a notebook."""

import html
import re
import sys
import threading
import time
from types import SimpleNamespace

import nbformat
import pytest
import torch
from jupyter_client import KernelManager
from nbclient import NotebookClient

import gvt
from gvt.loop.figures import Figure
from gvt.loop.listener import Run
from gvt.runs import display
from gvt.runs.folder import RunFolder

SMALL = ("data.batch_size=16", "data.classes=[5,8]", "data.holdout=50", "evaluate.final=null")


class Outputs:
    """Takes the place of `IPython.display`, and keeps what each output showed."""

    def __init__(self):
        self.shown = []

    def display(self, content, display_id):
        assert display_id is True
        handle = SimpleNamespace(history=[])
        handle.update = lambda new: handle.history.append(new._repr_mimebundle_((), ()))
        handle.update(content)
        self.shown.append(handle.history)
        return handle


@pytest.fixture
def outputs(monkeypatch):
    """Pretend that the tests run in a notebook."""
    outputs = Outputs()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython.display", outputs)
    return outputs


def text_of(bundle):
    assert bundle.keys() == {"text/plain", "text/html"}
    return html.unescape(re.sub("<[^>]*>", "", bundle["text/html"])).strip()


def started(total=4, **settings):
    shown = gvt.Display("headline: cpu", ["a note"], **settings)
    run = Run(gvt.MultiHead.__new__(gvt.MultiHead), total, 2, 64)
    shown.run_started(run)
    return shown, run


def test_one_output_is_updated_in_place(outputs, monkeypatch, capfd):
    shown, run = started()
    for run.step in range(1, 5):
        monkeypatch.setattr(shown._progress, "_updated_at", 0.0)
        shown.step_ended(run, {"real": torch.tensor(0.5)})
        shown.losses_read(run, [(run.step, {"real": 0.25 * run.step})])
    metrics = {"accuracy": 0.75, "iou/cat": 0.25}
    evaluation = gvt.Evaluation(metrics, figures={"iou/cat": Figure("metric", "cat")})
    shown.evaluated(run, "val", evaluation)
    run.outcome = "success"
    shown.run_ended(run, None)
    shown.note("written later")

    (history,) = outputs.shown
    texts = [text_of(bundle) for bundle in history]
    assert texts[0] == "headline: cpu\na note"
    assert any("1/4" in text for text in texts)
    assert any("real 0.7500" in text for text in texts)
    *notes, bar, losses = texts[-1].splitlines()
    assert notes[:3] == ["headline: cpu", "a note", "step 4  val: accuracy 0.7500"]
    assert notes[3].startswith("4 steps in")
    assert notes[4] == "written later"
    assert re.fullmatch(r"step 4/4 ━+ [\d,]+ samples/s 0:00:00 *", bar)
    assert losses.strip() == "real 1.0000"
    assert capfd.readouterr() == ("", "")


def test_a_fast_loop_does_not_wait_for_its_display(outputs):
    shown, run = started(total=1000)
    begun = time.monotonic()
    for run.step in range(1, 1001):
        shown.step_ended(run, {})
    (history,) = outputs.shown
    assert len(history) <= 4 + (time.monotonic() - begun) / 0.25


def test_names_are_escaped(outputs):
    shown, run = started()
    shown.note("plugin '<script>alert(1)</script>' \x1b[2J raised &amp; [red]more[/red]")
    shown.losses_read(run, [(0, {"<b>": 1.0})])
    shown.note("")
    markup = outputs.shown[0][-1]["text/html"]
    assert "<script" not in markup
    assert "<b>" not in markup
    assert "\x1b" not in markup
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt;' \\x1b[2J raised &amp;amp; [red]more[/red]" in markup
    )


def test_the_first_and_the_last_notes_of_many_are_shown(outputs):
    shown, _ = started()
    for number in range(100):
        shown.note(f"note {number}")
    lines = text_of(outputs.shown[0][-1]).splitlines()
    assert lines[:2] == ["headline: cpu", "a note"]
    assert lines[10:12] == ["note 8", "note 50"]
    assert "note 99" in lines


def test_a_stream_that_is_named_is_written_in_a_notebook_too(outputs, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "PLAIN_SECONDS", 0.0)
    path = tmp_path / "log.txt"
    with path.open("w") as stream:
        shown, run = started(stream=stream)
        shown.losses_read(run, [(0, {"real": 1.0})])
    assert path.read_text().splitlines()[:2] == ["headline: cpu", "a note"]
    assert not outputs.shown


def test_a_run_shows_how_it_ended_its_metrics_and_its_report(tmp_path):
    folder = tmp_path / "a <b>" / "1"
    folder.mkdir(parents=True)
    RunFolder(folder).report.write_text("")
    run = Run(gvt.MultiHead.__new__(gvt.MultiHead), 4, 2, 64, step=4, outcome="success")
    run.metrics = {"val/<i>": 0.25, "val/b": 1e-7}
    assert repr(run) == "<Run without a folder: success at step 4 of 4>"
    run.folder = folder
    assert repr(run) == f"<Run {folder}: success at step 4 of 4>"
    markup = run._repr_html_()
    assert "<b>" not in markup
    assert "<i>" not in markup
    assert f'href="{tmp_path}/a%20%3Cb%3E/1/report.html"' in markup
    assert "<td>val/&lt;i&gt;</td><td>0.25</td>" in markup
    assert "<td>val/b</td><td>1e-07</td>" in markup


@pytest.fixture
def execute(tmp_path, monkeypatch, undrawn_processes):
    """Return what executes cells in a kernel, and returns the outputs of each."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))

    def run(*cells, meanwhile=None):
        notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
        manager = KernelManager()
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=300,
            allow_errors=True,
            resources={"metadata": {"path": str(tmp_path)}},
        )
        if meanwhile is not None:
            threading.Thread(target=meanwhile, args=(manager,), daemon=True).start()
        client.execute()
        return [cell.outputs for cell in notebook.cells]

    return run


@pytest.mark.slow
def test_in_a_kernel(execute):
    trained, shown, wrong = execute(
        f"import gvt\nrun = gvt.run('classify.mnist', 'train.steps=3', *{SMALL})",
        "run",
        "gvt.run('clasify.mnist')",
    )
    (output,) = trained  # no stream, and one output, which was updated
    assert output.output_type == "display_data"
    text = text_of(output.data)
    assert "step 3  val: accuracy" in text
    assert "3/3" in text
    assert "cross_entropy" in text.splitlines()[-1]
    assert "cross_entropy" in output.data["text/plain"]
    assert "<td>val/accuracy</td>" in shown[0].data["text/html"]
    assert shown[0].data["text/plain"].startswith("<Run runs/classify.mnist/")
    (error,) = wrong
    (line,) = error.traceback
    assert line.startswith("UnknownComponent: no recipe is called 'clasify.mnist'; did you mean")


@pytest.mark.slow
def test_interrupting_the_kernel_saves_the_run_which_is_resumed(execute, tmp_path):
    def interrupt(manager):
        while not any(log.read_text() for log in tmp_path.glob("runs/*/*/metrics.jsonl")):
            time.sleep(0.1)
        manager.interrupt_kernel()

    endless = ("train.steps=1000000", "train.log_every=1", *SMALL)
    stopped, resumed = execute(
        f"import gvt, json, pathlib\nrun = gvt.run('classify.mnist', *{endless})",
        "(log,) = pathlib.Path('runs').glob('*/*/metrics.jsonl')\n"
        "step = json.loads(log.read_text().splitlines()[-1])['step']\n"
        "run = gvt.resume(log.parent, f'train.steps={step + 1}')\n"
        "print(run.step - step, run.outcome)",
        meanwhile=interrupt,
    )
    shown, *asked, error = stopped
    assert re.search(r"\d+ steps in ", text_of(shown.data))
    # It is written to the descriptor of standard error, and may arrive after the cell.
    assert all("finishing this step, then saving" in answer.text for answer in asked)
    (line,) = error.traceback
    expected = (
        r"Interrupted: stopped after step \d+ and saved; continue with: gvt\.resume\('runs/.*'\)"
    )
    assert re.fullmatch(expected, line)
    assert "1 success\n" in [output.get("text") for output in resumed]
