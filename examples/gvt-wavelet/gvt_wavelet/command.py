"""The command `gvt wavelet`: draw the wavelet bands of an image. Imports torch only when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--levels", type=click.IntRange(1, 8), default=2, show_default=True)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The PNG file to write; IMAGE_wavelet.png by default.",
)
def wavelet(image: Path, levels: int, out: Path | None) -> None:
    """Decompose IMAGE into its Haar wavelet bands, drawn as one image."""
    from torchvision.transforms.v2 import functional as F

    pixels = F.to_dtype(F.to_image(_opened(image)), scale=True)
    sides = [side // 2**levels * 2**levels for side in pixels.shape[-2:]]
    if not min(sides):
        from gvt import UsageError

        raise UsageError(f"{image}: {levels} levels need {2**levels} pixels a side; lower --levels")
    bands = mosaic(pixels[None, :, : sides[0], : sides[1]], levels)
    path = out or image.with_name(f"{image.stem}_wavelet.png")
    F.to_pil_image(bands[0].clamp(0, 1)).save(path)
    click.echo(path)


def mosaic(images: Tensor, levels: int) -> Tensor:
    """Return the bands in the usual layout, with the average, decomposed further, at the top left.

    Args:
        images: (N, C, H, W) in [0, 1], both sides divisible by 2**levels.
        levels: Number of decompositions.

    Returns:
        (N, C, H, W) in [0, 1]; zero detail is mid-grey.
    """
    import torch

    from gvt_wavelet.haar import decompose

    average, *details = decompose(images).unbind(dim=1)
    average = average / 2  # the mean of each block
    if levels > 1:
        average = mosaic(average, levels - 1)
    horizontal, vertical, diagonal = (0.5 + detail / 2 for detail in details)
    top = torch.cat([average, vertical], dim=-1)
    return torch.cat([top, torch.cat([horizontal, diagonal], dim=-1)], dim=-2)


def _opened(path: Path) -> Image.Image:
    from PIL import Image

    from gvt import DataError

    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image: {error}") from error
