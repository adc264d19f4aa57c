"""Write class folders of crops of scikit-image's photographs, to measure training on few images.

    pip install scikit-image
    python benchmarks/photographs.py photographs    # 20 images of each class to train, 50 to test
    gvt import EFFICIENTNET_LITE0.pth --model tf_efficientnet_lite0 -o lite0.safetensors
    gvt run classify.finetune data.root=photographs backbone.weights=lite0.safetensors \\
        data.size=160 train.precision=float32 evaluate.final=test

Each photograph is a class. It is divided like a chessboard of 4 x 4 fields: crops to train lie
inside white fields and crops to test inside black fields, so no pixel is in both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

PHOTOGRAPHS = {
    "astronaut": data.astronaut,
    "brick": data.brick,
    "camera": data.camera,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "coins": data.coins,
    "grass": data.grass,
    "gravel": data.gravel,
    "hubble": data.hubble_deep_field,
    "moon": data.moon,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
    "retina": data.retina,
    "rocket": data.rocket,
    "tissue": data.immunohistochemistry,
}
FIELDS = 4
"""Fields along each side of the chessboard."""

SHARES = (0.6, 1.0)
"""Least and greatest side of a crop, as a share of the shorter side of a field."""

PARTS = {"train": (0, 20), "test": (1, 50)}
"""Colour of the fields, and number of crops of each class, by split."""


def crop(photograph: np.ndarray, colour: int, source: np.random.Generator) -> Image.Image:
    """Return a random square inside a field of a colour, 0 for white and 1 for black."""
    height, width = (length // FIELDS for length in photograph.shape[:2])
    fields = [(i, j) for i in range(FIELDS) for j in range(FIELDS) if (i + j) % 2 == colour]
    row, column = fields[source.integers(len(fields))]
    side = round(source.uniform(*SHARES) * min(height, width))
    top = row * height + source.integers(height - side + 1)
    left = column * width + source.integers(width - side + 1)
    return Image.fromarray(photograph[top : top + side, left : left + side])


def write(root: Path, seed: int) -> None:
    """Write the crops of all photographs: `root/SPLIT/CLASS/NUMBER.png`."""
    for number, (name, read) in enumerate(PHOTOGRAPHS.items()):
        photograph = read()
        for split, (colour, count) in PARTS.items():
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            source = np.random.default_rng((seed, number, colour))
            for index in range(count):
                crop(photograph, colour, source).save(folder / f"{index:02d}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the crops")
    args = parser.parse_args()
    write(args.root, args.seed)
