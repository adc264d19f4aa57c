"""Tests of the Haar wavelet, which the conformance kit does not check."""

import json

import pytest
import torch
from click.testing import CliRunner
from gvt_wavelet.command import mosaic, wavelet
from gvt_wavelet.follow import note
from gvt_wavelet.haar import BANDS, decompose, energies, reconstruct
from gvt_wavelet.textures import Textures
from PIL import Image

import gvt


def test_the_bands_of_one_block():
    block = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    bands = decompose(block).flatten()
    assert dict(zip(BANDS, bands.tolist(), strict=True)) == {
        "average": 5.0,
        "horizontal": -2.0,
        "vertical": -1.0,
        "diagonal": 0.0,
    }


def test_reconstruction_is_the_inverse_and_energy_stays():
    images = torch.rand(2, 3, 6, 8)
    bands = decompose(images)
    assert bands.shape == (2, 4, 3, 3, 4)
    torch.testing.assert_close(reconstruct(bands), images)
    torch.testing.assert_close(bands.square().sum(), images.square().sum())


def test_odd_sides_repeat_their_end():
    images = torch.rand(1, 1, 5, 7)
    padded = reconstruct(decompose(images))
    torch.testing.assert_close(padded[..., :5, :7], images)
    torch.testing.assert_close(padded[..., 5, :7], images[..., 4, :])


@pytest.mark.parametrize("name", ["horizontal", "vertical"])
def test_stripes_have_their_energy_in_their_own_band(name):
    samples = list(map(Textures("val", noise=0.0).__getitem__, range(40)))
    number = Textures.classes.index(name)
    stripes = torch.stack([s.image for s in samples if s.targets["class"] == number])
    means = energies(stripes)[:, 1:].mean(dim=(0, 2))
    assert means.argmax() == BANDS[1:].index(name)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 20)])
def test_a_generator_makes_images_of_any_size(shape):
    generator = gvt.create("generator", "wavelet", image_shape=shape, width=8)
    images = generator(torch.randn(2, *generator.latent_shape))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1


def test_the_head_learns_textures(tmp_path):
    run = gvt.run("wavelet.classify", f"run.root={tmp_path}", "data.count=800", quiet=True)
    assert run.metrics["test/accuracy"] > 0.9  # of four classes


def test_a_run_of_the_generator_is_followed(tmp_path):
    settings = ["train.steps=2", "generator.width=8", f"run.root={tmp_path}"]
    run = gvt.run("wavelet.textures", *settings, quiet=True)
    lines = [json.loads(line) for line in (run.folder / "wavelet.jsonl").open()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["samples"].keys() == set(BANDS[1:])


def test_shares_are_of_the_whole_energy(tmp_path):
    stripes = torch.tensor([0.0, 1.0]).repeat(3, 1, 4, 2)
    note(tmp_path / "notes.jsonl", 7, {"stripes": gvt.Shown.of(stripes)})
    (line,) = [json.loads(line) for line in (tmp_path / "notes.jsonl").open()]
    assert line == {"step": 7, "stripes": {"horizontal": 0, "vertical": 0.5, "diagonal": 0}}


def test_a_mosaic_of_a_flat_picture_is_flat():
    bands = mosaic(torch.full((1, 3, 8, 8), 0.25), levels=2)
    assert (bands[..., :2, :2] == 0.25).all()
    assert (bands[..., 2:, :] == 0.5).all()
    assert (bands[..., :, 2:] == 0.5).all()


def test_the_command_writes_a_sheet(tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (21, 18), "red").save(photo)
    result = CliRunner().invoke(wavelet, [str(photo)])
    assert result.output == f"{tmp_path / 'photo_wavelet.png'}\n"
    with Image.open(tmp_path / "photo_wavelet.png") as sheet:
        assert sheet.size == (20, 16)


def test_a_file_that_is_not_an_image_is_one_line(tmp_path):
    text = tmp_path / "photo.jpg"
    text.write_text("not an image")
    with pytest.raises(gvt.DataError, match="cannot be read as an image"):
        CliRunner().invoke(wavelet, [str(text)], catch_exceptions=False)
    Image.new("L", (3, 9)).save(tmp_path / "small.png")
    with pytest.raises(gvt.UsageError, match="2 levels need 4 pixels"):
        CliRunner().invoke(wavelet, [str(tmp_path / "small.png")], catch_exceptions=False)
