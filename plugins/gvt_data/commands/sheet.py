"""Draw samples with their targets on one sheet: `gvt data show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvt import Batch, DataInfo, Dataset, Loader, Placement, RunConfig, compose
from gvt.data import HeldOut
from gvt.session import open_dataset, validate_components
from gvt.vision.drawing import save_samples


def save_sheet_of(
    recipe: str, overrides: Sequence[str], split: str, count: int, path: Path
) -> list[Path]:
    """Draw samples of a split with their targets, those of `train` with augmentations.

    Args:
        recipe: Name of a recipe, or a YAML file.
        overrides: Settings as `key=value`.
        split: Split to draw.
        count: Largest number of samples.
        path: PNG file to write. Samples without images are written beside it.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: If the recipe or a setting is invalid, or the split does not exist.
        DataError: If the data cannot be read.
    """
    config = compose(recipe, overrides)
    validate_components(config)
    dataset = open_dataset(config, split)
    batch = _first(dataset, config, split, min(count, len(dataset)))
    return save_samples(batch, DataInfo.of(dataset).classes, path)


def _first(dataset: Dataset, config: RunConfig, split: str, count: int) -> Batch:
    # Not resident, since that would decode the whole data set for a few samples.
    data = config.data.model_copy(update={"batch_size": count, "resident": False, "workers": 0})
    placement = Placement.resolve("cpu", memory_format="contiguous")
    if split != "train":
        return next(iter(HeldOut(dataset, data, placement).batches()))
    train = config.train.model_copy(update={"accumulate": 1})
    return Loader(dataset, data, train, placement).first(count)
