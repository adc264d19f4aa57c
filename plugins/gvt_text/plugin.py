"""Plugin with the field `tokens`, a data set of texts, a backbone, recipes and `gvt words`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import Component, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_components() -> list[Component]:
    """Register the data set, the backbone and the recipes."""
    return [
        Component(
            "dataset",
            "text_folder",
            "gvt_text.folder:TextFolder",
            summary="Your own texts: one folder for each class, or CSV or JSON lines",
        ),
        Component(
            "backbone",
            "text_cnn",
            "gvt_text.text_cnn:TextCNN",
            summary="Word embedding and a convolution over the words of a text",
        ),
        Component(
            "recipe",
            "text.imdb",
            "gvt_text:recipes/imdb.yaml",
            summary="Sentiment of IMDB movie reviews: the textbook's text CNN",
        ),
        Component(
            "recipe",
            "text.folder",
            "gvt_text:recipes/folder.yaml",
            summary="Text classifier for your own texts, one folder for each class, or a table",
        ),
    ]


@hookimpl
def gvt_fields() -> dict[str, str]:
    """Register the field `tokens`."""
    return {"tokens": "gvt_text.tokens:Tokens"}


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Register `gvt words`."""
    from gvt_text.command import words

    return [words]
