"""The class index of each value or colour in mask files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import ImageColor

from gvt import IGNORED, DataError

from .tally import Tally, Value, percent, written

UNKNOWN = 254
"""Index of values that are not classes; classes and background have indices from 0 to 253."""

WHITE = 255
_LARGEST = 65535

Given = int | str | tuple[int, int, int]
"""A value, or a colour: red, green and blue from 0 to 255, "#ff8000", or its name."""


@dataclass(frozen=True)
class MaskValues:
    """The class index of each value, or of each colour, of a mask.

    Attributes:
        classes: Names of the classes.
        numbers: Index of each value: a class, `len(classes)` for the background, or 255 if it is
            ignored.
        background: Whether there is a background.
    """

    classes: tuple[str, ...]
    numbers: Mapping[Value, int]
    background: bool = False

    @property
    def are_colours(self) -> bool:
        """Whether the classes are colours."""
        return any(isinstance(value, tuple) for value in self.numbers)

    def __str__(self) -> str:
        """Return the values as text, separated by commas."""
        return ", ".join(written(value) for value in self.numbers)


def mask_values(
    classes: Sequence[str | int] | Mapping[str, Given] | None,
    background: Given | None,
    ignore: Given | None,
    tally: Callable[[], Tally],
) -> MaskValues:
    """Build the class indices of mask values from a data set's parameters.

    255 is an ordinary value, and has no meaning unless it is a class, the background or ignored.
    The only exception is a data set of black and white masks: if all values but the ignored one are
    0 and 255, then 255 is the second of two classes.

    Args:
        classes: Names of the values from 0 on that are neither background nor ignored; or the
            value or colour of each name; or None for one class per value in the masks.
        background: Value or colour of the background.
        ignore: Value or colour of pixels that are ignored.
        tally: Function that counts the values in all masks.

    Raises:
        DataError: If 255 has no meaning and occurs with other values.
        ValueError: If a value or colour is impossible, or occurs twice.
    """
    rest = None if background is None else _value("background", background)
    ignored = None if ignore is None else _value("ignore", ignore)
    if isinstance(classes, Mapping):
        by_name = {name: _value(f"classes: {name}", value) for name, value in classes.items()}
        return _indexed(by_name, rest, ignored, {})
    if classes is None:
        counts = tally()
        if WHITE not in (rest, ignored):
            check_white(counts, ignored)
        values = sorted(v for v in counts.counts if isinstance(v, int))
        return _indexed({str(v): v for v in values if v not in (rest, ignored)}, rest, ignored, {})
    by_name = _consecutive([str(name) for name in classes], (rest, ignored))
    are_two = {0, 1} == {*by_name.values(), *(() if rest is None else (rest,))}
    aliases: dict[Value, Value] = {}
    if are_two and ignored != WHITE and WHITE in (counts := tally()).counts:
        check_white(counts, ignored)
        aliases = {WHITE: 1}
    return _indexed(by_name, rest, ignored, aliases)


def check_white(tally: Tally, ignored: Value | None) -> None:
    """Check that masks with 255, if it has no meaning, are black and white.

    Args:
        tally: Counts of the values in all masks.
        ignored: The ignored value.

    Raises:
        DataError: If there are other values.
    """
    if WHITE in tally.counts and not tally.counts.keys() - {ignored} <= {0, WHITE}:
        raise of_white("data.classes: the masks have", tally)


def of_white(what: str, tally: Tally) -> DataError:
    """Return the error for 255 without a meaning among other values."""
    every = tally.listed(tally.total, len(tally.counts))
    shown = str(tally)
    return DataError(
        f"{what} the values {shown}, and the meaning of 255"
        f"{'' if shown == every else f' ({percent(tally.counts[WHITE], tally.total)})'} is "
        "unclear; give data.ignore=255 to ignore it, data.background=255 if it is the background, "
        "or name it with the other classes in data.classes={NAME: VALUE}",
        details="" if shown == every else f"values: {every}",
    )


def _indexed(
    by_name: Mapping[str, Value],
    background: Value | None,
    ignored: Value | None,
    aliases: Mapping[Value, Value],
) -> MaskValues:
    """Return the values with their class indices.

    Args:
        by_name: Value of each class.
        background: Value of the background.
        ignored: The ignored value.
        aliases: Further values, each with the value that it is an alias of.

    Raises:
        ValueError: If a value occurs twice, colours and values are mixed, or the number of classes
            is out of range.
    """
    values = [*by_name.values(), *(v for v in (background, ignored) if v is not None)]
    if not by_name or len(by_name) >= UNKNOWN:
        raise ValueError(f"classes: there are {len(by_name)}; give 1 to {UNKNOWN - 1}")
    if len({type(value) for value in values}) > 1:
        raise ValueError(
            "classes, background and ignore: some are values and some colours; give one kind"
        )
    for value in values:
        if values.count(value) > 1:
            raise ValueError(
                f"classes, background and ignore: {written(value)} occurs more than once"
            )
    indices: dict[Value, int] = {value: index for index, value in enumerate(by_name.values())}
    if background is not None:
        indices[background] = len(by_name)
    if ignored is not None:
        indices[ignored] = IGNORED
    indices |= {alias: indices[value] for alias, value in aliases.items()}
    return MaskValues(tuple(by_name), indices, background is not None)


def _consecutive(names: Sequence[str], reserved: Sequence[Value | None]) -> dict[str, Value]:
    """Return the value of each name, counted from 0 without the reserved values."""
    if len(set(names)) != len(names):
        raise ValueError(f"classes {list(names)}: give each name once")
    if any(isinstance(value, tuple) for value in reserved):
        raise ValueError(
            "classes: a list of names stands for values, but background or ignore is a colour; "
            "give each class its colour, as in {cell: '#ff0000'}"
        )
    free = (value for value in range(len(names) + len(reserved)) if value not in reserved)
    return dict(zip(names, free, strict=False))


def _value(what: str, value: Given) -> Value:
    """Return a checked value, or a colour as red, green and blue."""
    if isinstance(value, int):
        if not 0 <= value <= _LARGEST:
            raise ValueError(f"{what} {value}: the values of masks are from 0 to {_LARGEST}")
        return value
    if isinstance(value, str):
        try:
            red, green, blue = ImageColor.getrgb(value)[:3]
        except ValueError as error:
            raise ValueError(
                f"{what} {value!r}: is not a colour; write '#ff8000' or [255, 128, 0]"
            ) from error
        return red, green, blue
    red, green, blue = value
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"{what} {list(value)}: red, green and blue are from 0 to 255")
    return red, green, blue
