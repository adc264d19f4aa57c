"""The newest images of a run, in a notebook."""

import io
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

import gvt

GAN = ("data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8")


@pytest.fixture
def outputs(monkeypatch):
    """Pretend that the tests run in a notebook; return the images that each output showed."""
    outputs = []

    def display(content, display_id):
        assert display_id is True
        outputs.append(images := [content])
        return SimpleNamespace(update=images.append)

    module = SimpleNamespace(display=display, Image=lambda png: Image.open(io.BytesIO(png)))
    monkeypatch.setattr("gvt_report.follower.in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return outputs


def test_a_new_sheet_replaces_the_one_before(outputs, tmp_path):
    settings = ("train.steps=3", "train.pictures_every=2", f"run.root={tmp_path}")
    run = gvt.run("gan.mnist", *GAN, *settings)
    (images,) = outputs
    sheets = sorted((run.folder / "samples").glob("*.png"))
    assert len(images) == len(sheets) == 3
    for image, sheet in zip(images, sheets, strict=True):
        assert image.tobytes() == Image.open(sheet).tobytes()


def test_a_quiet_run_shows_nothing(outputs, tmp_path):
    run = gvt.run("gan.mnist", *GAN, "train.steps=1", f"run.root={tmp_path}", quiet=True)
    assert list((run.folder / "samples").glob("*.png"))
    assert not outputs
