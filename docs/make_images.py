"""Make the images of the README and docs/segmentation.md from runs of the recipes.

    gvt run gan.mnist
    gvt run segment.membrane data.root=MEMBRANE
    gvt run detect.bccd_fast data.root=BCCD train.epochs=8 data.size=[240,320]  # and the weights
    gvt import ... -o lite0.safetensors     # see docs/transfer.md
    python examples/mix_heads.py
    python docs/make_images.py runs lite0.safetensors coffee.png

Data roots are those that the runs were trained with. Images are small, so that the page loads fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import gvt
from gvt.vision.drawing import Item, as_images, tiled, with_legend

IMAGES = Path(__file__).parent / "images"
HEIGHT = 200
"""Pixels of each image of the README's first table."""

CLASSIFIED = ("backbone.weights", "heads.picture.weights")
"""Parameters of `classify.imagenet` that are the path of the weights; one file has both."""


def main(arguments: list[str]) -> None:
    """Draw every image anew."""
    runs, weights, photograph = map(Path, arguments)
    generated(runs).save(IMAGES / "gan_mnist.png", optimize=True)
    classified(weights, photograph).save(IMAGES / "classify_imagenet.jpg", quality=85)
    whole, painted = segmented(runs)
    tiled([whole, painted], 2).save(IMAGES / "segment_membrane.jpg", quality=85)
    side = (0, 0, whole.width // 2, whole.height // 2)
    scaled(painted.crop(side)).save(IMAGES / "segment_membrane_small.jpg", quality=85)
    detected(runs).save(IMAGES / "detect_bccd.jpg", quality=85)
    with Image.open("predictions/scene_overlay.png") as overlay:
        overlay.convert("RGB").quantize(128).save(IMAGES / "mix_heads.png", optimize=True)


def generated(runs: Path) -> Image.Image:
    """Return 6 x 4 digits of the last `gan.mnist`."""
    digits = as_images(gvt.sample(last(runs, "gan.mnist"), 24, seed=1))
    return scaled(tiled(digits, 6))


def classified(weights: Path, photograph: Path) -> Image.Image:
    """Return a photograph with the two likeliest classes of `classify.imagenet` below it."""
    settings = [f"{name}={weights}" for name in CLASSIFIED]
    (result,) = gvt.predict("classify.imagenet", photograph, *settings)
    words = [Item(f"{c['class']} {c['score']:.2f}", begins=True) for c in result.summary["top"][:2]]
    with Image.open(photograph) as image:
        return with_legend(scaled(image.convert("RGB"), HEIGHT - 40), words, letters=12)


def segmented(runs: Path) -> tuple[Image.Image, Image.Image]:
    """Return a held-out micrograph, and the same with what the last `segment.membrane` predicts."""
    run = last(runs, "segment.membrane")
    return overlaid(run, held_out(run, 0))


def detected(runs: Path) -> Image.Image:
    """Return a test image of blood cells with what the last `detect.bccd_fast` predicts."""
    run = last(runs, "detect.bccd_fast")
    return scaled(overlaid(run, held_out(run, 3, "test"))[1])


def overlaid(run: Path, path: Path) -> tuple[Image.Image, Image.Image]:
    """Return an image, and the overlay that `gvt predict` draws."""
    with TemporaryDirectory() as folder:
        gvt.predict(run, path, out=folder)
        with Image.open(path) as image, Image.open(Path(folder, f"{path.stem}_overlay.png")) as one:
            return image.convert("RGB"), one.convert("RGB")


def held_out(run: Path, number: int, split: str = "val") -> Path:
    """Return an image file of a split of a run's data that was not trained on."""
    name, settings = gvt.open(run).config.data.name, parameters(run)
    dataset = gvt.create("dataset", name, split=split, **settings)
    return Path(dataset.files[number])


def parameters(run: Path) -> dict[str, object]:
    """Return the parameters of a run's data set."""
    return dict(gvt.open(run).config.data.parameters)


def scaled(image: Image.Image, height: int = HEIGHT) -> Image.Image:
    """Return an image of another height with its proportions."""
    return image.resize((round(image.width * height / image.height), height), Image.Resampling.BOX)


def last(runs: Path, recipe: str) -> Path:
    """Return the last run of a recipe."""
    return max((runs / recipe).iterdir())


if __name__ == "__main__":
    main(sys.argv[1:])
