"""The newest images of a run, in a notebook."""

from __future__ import annotations

from typing import Any

from rich.console import Console


def in_notebook() -> bool:
    """Return whether the code runs in a notebook."""
    return Console().is_jupyter


class NotebookImages:
    """Images below a cell of a notebook; a new one of a name replaces the one before."""

    def __init__(self) -> None:
        self._outputs: dict[str, Any] = {}

    def show(self, name: str, png: bytes) -> None:
        """Show the content of a PNG file."""
        from IPython.display import Image, display

        if name in self._outputs:
            self._outputs[name].update(Image(png))
        else:
            self._outputs[name] = display(Image(png), display_id=True)
