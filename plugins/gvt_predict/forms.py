"""Forms of predictions: for whole images, for pixels, or for objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gvt import DataInfo, UsageError
from gvt.vision.drawing import MOST_CLASSES


@dataclass(frozen=True)
class Form:
    """The form of a head's predictions.

    Attributes:
        key: `class` or `labels` for whole samples, `semantic` or `masks` for pixels, `boxes` for
            objects.
        channels: Number of scores of a sample, of a pixel, or of an object.
    """

    key: str
    channels: int

    @property
    def is_dense(self) -> bool:
        """Whether there is a prediction for each pixel."""
        return self.key in ("semantic", "masks")

    @property
    def is_of_objects(self) -> bool:
        """Whether objects are predicted, with boxes and optionally masks."""
        return self.key == "boxes"


def forms_of(keys: Mapping[str, Sequence[str]], info: DataInfo) -> dict[str, Form]:
    """Return the form of each head's predictions by the head's name.

    Args:
        keys: Keys of a prediction by head, as `gvt.Task.predicts` returns them.
        info: Information about the data.

    Raises:
        UsageError: If a prediction is neither for a sample, nor for pixels, nor for objects, or has
            more classes of pixels than a PNG can have.
    """
    return {h: _form(f"head {h}: " if len(keys) > 1 else "", k, info) for h, k in keys.items()}


def _form(place: str, keys: Sequence[str], info: DataInfo) -> Form:
    count = len(info.classes)
    # The first one counts: objects have labels and may have masks, and masks have labels, too.
    for key, others in _FORMS.items():
        if {key, "scores", *others} <= {*keys}:
            if key == "boxes":
                return Form(key, 1)
            form = Form(key, count + (info.background and key == "semantic"))
            if form.is_dense and form.channels > MOST_CLASSES:
                raise UsageError(
                    f"{place}has {form.channels} classes of pixels, but the PNG of a mask can have "
                    f"at most {MOST_CLASSES}"
                )
            return form
    raise UsageError(
        f"{place}predictions of {', '.join(keys) or 'nothing'} cannot be written; supported are "
        "scores for the classes of the image, for those of each pixel, or for boxes with labels"
    )


_FORMS: dict[str, tuple[str, ...]] = {
    "semantic": (),
    "boxes": ("labels",),
    "masks": ("labels",),
    "class": (),
    "labels": (),
}
"""The keys that decide on a form, with those that it needs besides `scores`."""
