"""What the values or colours of mask files mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from PIL import ImageColor

from gvt.batch import IGNORED

UNKNOWN = 254
"""The number of what is no class; classes and background are numbered from 0 to 253."""

WHITE = 255
_LARGEST = 65535

Given = int | str | tuple[int, int, int]
"""A value, or a colour as red, green and blue from 0 to 255, as "#ff8000", or by its name."""

Value = int | tuple[int, int, int]


@dataclass(frozen=True)
class MaskValues:
    """Which class each value, or each colour, of a mask stands for.

    Attributes:
        classes: The names of the classes.
        numbers: The number of each value: a class, `len(classes)` for the background, 255 where
            it is ignored.
        background: Whether there are pixels of no class.
        white_is_one: Whether 255 stands for 1, as in masks that are black and white.
    """

    classes: tuple[str, ...]
    numbers: Mapping[Value, int]
    background: bool = False
    white_is_one: bool = False

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
    found: Callable[[], Collection[int]],
) -> MaskValues:
    """Return what masks mean, from a data set's parameters.

    Args:
        classes: The names, of the values from 0 on that are neither background nor ignored; or
            each name's value or colour; or None for a class for each value that is found.
        background: The value or colour of no class.
        ignore: That of pixels that count nowhere; unless given, 255, if it is nothing else. Where
            two names are listed, masks may be black and white as well, and 255 is the second.
        found: Returns the values in all masks.

    Raises:
        ValueError: If they are impossible, or stand twice.
    """
    none = None if background is None else _value("background", background)
    nowhere = None if ignore is None else _value("ignore", ignore)
    white_is_one = False
    by_name: dict[str, Value]
    if classes is None:
        by_name = {str(v): v for v in _classes_of(set(found()) - {none, nowhere}, nowhere)}
    elif isinstance(classes, Mapping):
        by_name = {name: _value(f"classes: {name}", given) for name, given in classes.items()}
    else:
        by_name = _counted([str(name) for name in classes], (none, nowhere))
        two = {0, 1} == {*by_name.values(), *(() if none is None else (none,))}
        white_is_one = two and nowhere != WHITE
    return _checked(by_name, none, nowhere, white_is_one)


def _checked(
    by_name: Mapping[str, Value], none: Value | None, nowhere: Value | None, white_is_one: bool
) -> MaskValues:
    """Return them all with their numbers.

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
    if white_is_one:
        numbers[WHITE] = numbers[1]
    elif nowhere is None and isinstance(named[0], int):
        numbers.setdefault(WHITE, IGNORED)
    return MaskValues(tuple(by_name), numbers, none is not None, white_is_one)


def _classes_of(values: Collection[Value | None], nowhere: Value | None) -> list[int]:
    """Return which of the values that were found are classes: 255 is if only 0 is beside it."""
    whole = sorted(value for value in values if isinstance(value, int))
    if nowhere is None and not set(whole) <= {0, WHITE}:
        whole = [value for value in whole if value != WHITE]
    return whole


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


def written(value: Value) -> str:
    """Return a value or a colour as people write it."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)
