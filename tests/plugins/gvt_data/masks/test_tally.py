"""Values are counted with where they are; noise at edges is distinguished from many classes."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from gvt_data.masks import tally as mask_tally
from gvt_data.masks.tally import Tally, added, tallied

FILTERS = Image.Resampling


def of(pixels):
    return tallied(pixels, [pixels] if pixels.ndim == 2 else list(np.moveaxis(pixels, -1, 0)))


def noise_in(masks):
    """Return which masks have noise, and whether all together do."""
    tallies = [of(mask) for mask in masks]
    every = added(tallies)
    return [bool(tally.noise(every)) for tally in tallies], bool(every.noise())


def test_pixels_are_counted_by_where_they_are(monkeypatch):
    mask = np.zeros((7, 9), np.uint8)
    mask[:, 3] = 100
    mask[:, 4:] = 200
    expected = Tally({0: 21, 100: 7, 200: 35}, {0: 7, 100: 7, 200: 7}, {100: 7})
    assert of(mask) == expected
    monkeypatch.setattr(mask_tally, "AT_ONCE", 20)  # in bands of two rows
    assert of(mask) == expected
    assert of(mask.T) == expected
    assert of(mask.astype(np.uint16) * 300).counts == {0: 21, 30000: 7, 60000: 35}
    assert str(expected) == "0 (33.3 %), 100 (11.1 %), 200 (55.6 %)"
    assert added([expected, Tally({0: 1})]).counts == {0: 22, 100: 7, 200: 35}


def test_colours_are_counted_as_values_are():
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[:, 4:] = 255, 128, 0
    assert of(mask) == Tally(
        {(0, 0, 0): 24, (255, 128, 0): 24}, {(0, 0, 0): 6, (255, 128, 0): 6}, {}
    )
    assert str(of(mask)) == "#000000 (50.0 %), #ff8000 (50.0 %)"


def shapes(seed, values, count=8, height=96, width=128):
    """Draw ellipses, polygons and thin lines over each other."""
    rng = np.random.default_rng(seed)
    image = Image.new("I", (width, height), int(values[0]))
    draw = ImageDraw.Draw(image)
    for kind in rng.integers(0, 3, count):
        value, side = int(rng.choice(values)), int(rng.integers(6, width // 3))
        x, y = (int(n) for n in rng.integers(0, (width, height)))
        if kind == 0:
            draw.ellipse((x, y, x + side, y + side), fill=value)
        elif kind == 1:
            corners = [(x + int(a), y + int(b)) for a, b in rng.integers(-side, side, (4, 2))]
            draw.polygon(corners, fill=value)
        else:
            draw.line((x, y, x + side, y + side // 3), fill=value, width=int(rng.integers(1, 4)))
    return np.asarray(image).astype(np.uint16)


def street(seed, height=128, width=256):
    """Draw a street of Cityscapes' 34 values: large areas, poles, and many small distant things."""
    rng = np.random.default_rng(seed)
    image = Image.new("I", (width, height), 23)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, top = (int(n) for n in rng.integers(0, (width, height // 2)))
        draw.rectangle((x, top, x + width // 8, height), fill=int(rng.choice([11, 12, 13, 21, 22])))
    draw.rectangle((0, int(height * 0.6), width, height), fill=7)
    for x in rng.integers(0, width, 10).tolist():
        draw.line((x, height // 4, x, height * 0.6), fill=17)
    for x in rng.integers(0, width, 40).tolist():
        side = max(1, int(rng.exponential(width / 60)))
        y = int(height * 0.55) + int(rng.integers(-4, 5))
        value = int(rng.choice([4, 5, 8, 9, 10, 18, 19, 20, 24, 25, 26, 27, 28, 31, 32, 33]))
        draw.ellipse((x, y, x + side, y + side), fill=value)
    return np.asarray(image).astype(np.uint8)


def cells(seed, values, count):
    """Return each pixel's nearest of some points, as one of the values."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 96, (2, count))
    rows, columns = np.mgrid[:96, :96]
    nearest = ((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).argmin(-1)
    return np.asarray(values, np.uint16)[rng.integers(0, len(values), count)[nearest]]


def cover(seed):
    """Return a ragged map of 20 values, as of land cover."""
    rng = np.random.default_rng(seed)
    fields = [Image.fromarray(f).resize((96, 96), FILTERS.BICUBIC) for f in noise(rng, 20, 16)]
    return (np.stack([*map(np.asarray, fields)]) + 0.25 * noise(rng, 20, 96)).argmax(0)


def noise(rng, count, side):
    return rng.normal(size=(count, side, side)).astype(np.float32)


def contours(seed):
    """Return cells of value 2 on 0, with a contour of 1 that is a pixel wide."""
    inside = np.pad(shapes(seed, [0, 2]), 1, mode="edge")
    core = inside[1:-1, 1:-1].copy()
    edge = (core != inside[:-2, 1:-1]) | (core != inside[1:-1, :-2])
    core[edge] = 1
    return core


def layers(seed):
    """Return layers of 0 to 9 below each other, some of them 1 or 2 pixels high."""
    rng = np.random.default_rng(seed)
    tops = np.cumsum(rng.integers(1, 7, 9))[:, None] + 30 + 9 * np.sin(np.linspace(0, 5, 120))
    return (np.arange(96)[:, None] > tops[:, None]).sum(0)


CLEAN = {
    "two values": lambda seed: shapes(seed, [0, 1]),
    "the values 0, 128, 255": lambda seed: shapes(seed, [0, 128, 255]),
    "twenty classes": lambda seed: shapes(seed, range(20), 60),
    "spaced labels": lambda seed: shapes(seed, [0, 20, 40, 60, 80, 100, 120], 30),
    "sixteen bits": lambda seed: shapes(seed, [0, 300, 1000, 20000, 65535], 20),
    "street": street,
    "small street": lambda seed: street(seed, 64, 128),
    "sixty values": lambda seed: cells(seed, range(60), 80),
    "dense cells": lambda seed: cells(seed, range(34), 400),
    "instances": lambda seed: cells(seed, [*[0] * 30, *range(1, 60)], 120),
    "land cover": cover,
    "contours": contours,
    "layers": layers,
}


@pytest.mark.parametrize("name", CLEAN)
def test_masks_of_many_classes_have_no_noise(name):
    single, together = noise_in([CLEAN[name](seed) for seed in range(12)])
    assert (sum(single), together) == (0, False)


def jpeg(mask, quality):
    file = io.BytesIO()
    mask.save(file, "JPEG", quality=quality)
    return Image.open(file)


def resized(mask, factor, filter):
    return mask.resize([round(factor * side) for side in mask.size], filter)


SPOILT = {
    **{f"jpeg {q}": lambda m, q=q: jpeg(m, q) for q in (50, 75, 90, 95)},
    **{
        f"{filter.name} {factor}": lambda m, f=factor, x=filter: resized(m, f, x)
        for filter in (FILTERS.BILINEAR, FILTERS.BICUBIC, FILTERS.LANCZOS)
        for factor in (0.3, 0.5, 0.75, 1.5, 2, 4)
    },
    "box": lambda m: resized(m, 0.4, FILTERS.BOX),
    "blur": lambda m: m.filter(ImageFilter.BoxBlur(1)),
    "turned": lambda m: m.rotate(17, FILTERS.BILINEAR),
}


@pytest.mark.parametrize("values", [[0, 255], [0, 100, 200], [0, 15]])
@pytest.mark.parametrize("name", SPOILT)
def test_resized_and_jpeg_masks_have_noise(name, values):
    if name.startswith("jpeg") and values[-1] == 15:
        pytest.skip("JPEG keeps so small values nearly as they are")
    masks = [Image.fromarray(shapes(seed, values).astype(np.uint8)) for seed in range(6)]
    spoilt = [np.asarray(SPOILT[name](mask)) for mask in masks]
    assert noise_in(spoilt)[1]
    tally = added([of(mask) for mask in spoilt])
    assert values[0] not in tally.noise()


def test_jpeg_of_the_best_quality_leaves_values_beside_the_main_ones():
    masks = [Image.fromarray(shapes(seed, [0, 100, 200]).astype(np.uint8)) for seed in range(6)]
    tally = added([of(np.asarray(jpeg(mask, 100))) for mask in masks])
    assert tally.noise() == tally.counts.keys() - {0, 100, 200} != set()


@pytest.mark.parametrize("name", ["jpeg 75", "BILINEAR 0.5", "BICUBIC 2", "blur"])
def test_colours_have_noise_as_values_have(name):
    colours = np.array([[0, 0, 0], [128, 64, 128], [70, 130, 180]], np.uint8)
    masks = [Image.fromarray(colours[shapes(seed, [0, 1, 2])]) for seed in range(6)]
    assert not added([of(np.asarray(mask)) for mask in masks]).noise()
    tally = added([of(np.asarray(SPOILT[name](mask))) for mask in masks])
    assert len(tally.noise()) > 10
    assert (0, 0, 0) not in tally.noise()


def test_noise_of_one_mask_among_many_is_in_this_one():
    masks = [shapes(seed, [0, 100, 200]) for seed in range(12)]
    masks[3] = np.asarray(SPOILT["BILINEAR 2"](Image.fromarray(masks[3].astype(np.uint8))))
    single, _ = noise_in(masks)
    assert [number for number, has in enumerate(single) if has] == [3]
