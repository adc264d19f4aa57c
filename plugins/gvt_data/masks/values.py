"""What the values or colours of mask files mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import ImageColor

from gvt import IGNORED, DataError

from .tally import Tally, Value, percent, written

UNKNOWN = 254
"""The number of what is no class; classes and background are numbered from 0 to 253."""

WHITE = 255
_LARGEST = 65535

Given = int | str | tuple[int, int, int]
"""A value, or a colour as red, green and blue from 0 to 255, as "#ff8000", or by its name."""


@dataclass(frozen=True)
class MaskValues:
    """Which class each value, or each colour, of a mask stands for.

    Attributes:
        classes: The names of the classes.
        numbers: The number of each value: a class, `len(classes)` for the background, 255 where
            it is ignored.
        background: Whether there are pixels of no class.
    """

    classes: tuple[str, ...]
    numbers: Mapping[Value, int]
    background: bool = False

    @property
    def are_colours(self) -> bool:
        """Whether they are colours."""
        return any(isinstance(value, tuple) for value in self.numbers)

    def __str__(self) -> str:
        """Return them as people write them."""
        return ", ".join(written(value) for value in self.numbers)


def mask_values(
    classes: Sequence[str | int] | Mapping[str, Given] | None,
    background: Given | None,
    ignore: Given | None,
    tally: Callable[[], Tally],
) -> MaskValues:
    """Return what masks mean, from a data set's parameters.

    255 is a value like any other, and nobody has said what it is unless it is named, the background
    or ignored. Only where all masks are black and white, 0 and 255 and nothing else but what is
    ignored, it is the second of the two.

    Args:
        classes: The names, of the values from 0 on that are neither background nor ignored; or
            each name's value or colour; or None for a class for each value in the masks.
        background: The value or colour of no class.
        ignore: That of pixels that count nowhere.
        tally: Returns the values in all masks, of values that 255 may stand for 1 among.

    Raises:
        DataError: If nobody has said what 255 is, and it is beside other values.
        ValueError: If they are impossible, or stand twice.
    """
    none = None if background is None else _value("background", background)
    nowhere = None if ignore is None else _value("ignore", ignore)
    if isinstance(classes, Mapping):
        by_name = {name: _value(f"classes: {name}", given) for name, given in classes.items()}
        return _checked(by_name, none, nowhere, {})
    if classes is None:
        counted = tally()
        if WHITE not in (none, nowhere):
            check_white(counted, nowhere)
        found = sorted(v for v in counted.counts if isinstance(v, int))
        return _checked({str(v): v for v in found if v not in (none, nowhere)}, none, nowhere, {})
    by_name = _counted([str(name) for name in classes], (none, nowhere))
    two = {0, 1} == {*by_name.values(), *(() if none is None else (none,))}
    white: dict[Value, Value] = {}
    if two and nowhere != WHITE and WHITE in (counted := tally()).counts:
        check_white(counted, nowhere)
        white = {WHITE: 1}
    return _checked(by_name, none, nowhere, white)


def check_white(tally: Tally, nowhere: Value | None) -> None:
    """Check that 255, of which nobody has said what it is, is clear from the values beside it.

    Args:
        tally: The values in all masks.
        nowhere: The value that is ignored.

    Raises:
        DataError: If it is not.
    """
    if WHITE in tally.counts and not tally.counts.keys() - {nowhere} <= {0, WHITE}:
        raise of_white("data.classes: the masks have", tally)


def of_white(what: str, tally: Tally) -> DataError:
    """Return the error that 255 is beside other values, and nobody says what it is."""
    every = tally.listed(tally.total, len(tally.counts))
    shown = str(tally)
    return DataError(
        f"{what} the values {shown}, and nobody says what 255 is"
        f"{'' if shown == every else f' ({percent(tally.counts[WHITE], tally.total)})'}; give "
        "data.ignore=255 if it counts nowhere, data.background=255 if it is of no class, or its "
        "class with the others in data.classes={NAME: VALUE}",
        details="" if shown == every else f"values: {every}",
    )


def _checked(
    by_name: Mapping[str, Value],
    none: Value | None,
    nowhere: Value | None,
    same: Mapping[Value, Value],
) -> MaskValues:
    """Return them all with their numbers.

    Args:
        by_name: The value of each class.
        none: That of the background.
        nowhere: That of what is ignored.
        same: Further values, each with the one that it stands for.

    Raises:
        ValueError: If a value stands twice, colours and values are mixed, or there are too many.
    """
    named = [*by_name.values(), *(value for value in (none, nowhere) if value is not None)]
    if not by_name or len(by_name) >= UNKNOWN:
        raise ValueError(f"classes: there are {len(by_name)}; from 1 to {UNKNOWN - 1} can be told")
    if len({type(value) for value in named}) > 1:
        raise ValueError(
            "classes, background and ignore: some are values and some colours; give one kind"
        )
    for value in named:
        if named.count(value) > 1:
            raise ValueError(
                f"classes, background and ignore: {written(value)} stands there more than once"
            )
    numbers: dict[Value, int] = {value: number for number, value in enumerate(by_name.values())}
    if none is not None:
        numbers[none] = len(by_name)
    if nowhere is not None:
        numbers[nowhere] = IGNORED
    numbers |= {value: numbers[other] for value, other in same.items()}
    return MaskValues(tuple(by_name), numbers, none is not None)


def _counted(names: Sequence[str], others: Sequence[Value | None]) -> dict[str, Value]:
    """Return the value of each name, from 0 on without those of others."""
    if len(set(names)) != len(names):
        raise ValueError(f"classes {list(names)}: give each name once")
    if any(isinstance(value, tuple) for value in others):
        raise ValueError(
            "classes: names alone stand for values, and background or ignore is a colour; give "
            "each class its colour, as in {cell: '#ff0000'}"
        )
    free = (value for value in range(len(names) + len(others)) if value not in others)
    return dict(zip(names, free, strict=False))


def _value(what: str, given: Given) -> Value:
    """Return a value, or a colour as red, green and blue."""
    if isinstance(given, int):
        if not 0 <= given <= _LARGEST:
            raise ValueError(f"{what} {given}: a mask's values are from 0 to {_LARGEST}")
        return given
    if isinstance(given, str):
        try:
            red, green, blue = ImageColor.getrgb(given)[:3]
        except ValueError as error:
            raise ValueError(
                f"{what} {given!r}: is no colour; write '#ff8000' or [255, 128, 0]"
            ) from error
        return red, green, blue
    red, green, blue = given
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"{what} {list(given)}: red, green and blue from 0 to 255")
    return red, green, blue
