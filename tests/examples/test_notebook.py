"""The example notebook."""

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


@pytest.mark.slow
def test_the_notebook_mixes_heads_and_shows_what_they_predict(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "tensorboard")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    (fit,) = (cell for cell in notebook.cells if cell.id == "fit")
    assert '"steps": 300' in fit.source
    fit.source = fit.source.replace('"steps": 300', '"steps": 5')
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=place).execute()  # raises if a cell does
    outputs = {cell.id: cell.get("outputs") for cell in notebook.cells}

    (display,) = outputs["fit"]
    assert "5/5" in display.data["text/html"]
    assert "largest/accuracy" in display.data["text/html"]
    (shown,) = outputs["run"]
    assert 'report.html" target' in shown.data["text/html"]
    (summary,) = outputs["predict"]
    assert summary.text.endswith(" scene_pixels.png\n")
    (overlay,) = outputs["overlay"]
    overlay_file = (tmp_path / "predictions" / "scene_overlay.png").read_bytes()
    assert base64.b64decode(overlay.data["image/png"]) == overlay_file
