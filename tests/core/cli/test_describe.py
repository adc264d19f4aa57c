"""What `gvt show` prints of a component's docstring."""

from dataclasses import dataclass
from typing import Annotated, Any

from gvt.cli.describe import documentation
from gvt.config.parameters import PassedTo


@dataclass
class Common:
    """Settings.

    Args:
        width: Channels of
            each layer.
        depth: Layers.
    """

    width: int = 8
    depth: int = 2


class Head:
    """A head.

    Args:
        classes: Their number.
        depth: Layers, more than usual.
        **common: Those of `Common`.

    Raises:
        ValueError: If there are none.
    """

    def __init__(
        self, classes: int, depth: int = 4, **common: Annotated[Any, PassedTo(Common)]
    ) -> None:
        self.classes, self.common = classes, Common(depth=depth, **common)


class Inheriting(Head):
    """A head with another name.

    Attributes:
        classes: Their number.
    """


class Brief(Head):
    """A head."""


def test_arguments_are_explained_where_parameters_are_declared():
    assert documentation(Head) == (
        "A head.\n\n"
        "Args:\n"
        "    classes: Their number.\n"
        "    depth: Layers, more than usual.\n"
        "    width: Channels of\n"
        "        each layer.\n\n"
        "Raises:\n"
        "    ValueError: If there are none."
    )


def test_an_inherited_constructor_is_explained_by_its_class():
    arguments = documentation(Head).partition("Args:")[2].partition("\n\nRaises")[0]
    assert documentation(Brief) == f"A head.\n\nArgs:{arguments}"
    assert documentation(Inheriting) == (
        f"A head with another name.\n\nArgs:{arguments}\n\nAttributes:\n    classes: Their number."
    )


def test_a_docstring_that_is_complete_stays_as_it_is():
    def build(width: int, **others: int) -> int:
        """Build it.

        Args:
            width: Its width,
              oddly indented.
            others: Anything else.
        """
        return width

    text = "Build it.\n\nArgs:\n    width: Its width,\n      oddly indented.\n"
    assert documentation(build) == f"{text}    others: Anything else."
    assert documentation(lambda width: width) == ""


def test_a_docstring_may_have_nothing_but_arguments():
    def build(**common: Annotated[Any, PassedTo(Common)]) -> Common:
        return Common(**common)

    arguments = "Args:\n    width: Channels of\n        each layer.\n    depth: "
    assert documentation(build) == f"{arguments}Layers."
    build.__doc__ = "\nArgs:\n    depth: Its layers."
    assert documentation(build) == f"{arguments}Its layers."
