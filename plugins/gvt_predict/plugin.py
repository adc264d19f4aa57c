"""Plugin with `gvt predict`, `gvt eval --predictions`, and the section `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvt_registry import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Add `gvt predict`, and `--predictions` to `gvt eval`."""
    from gvt_predict.command import predict, score

    return [predict, score]


@hookimpl
def gvt_sections() -> dict[str, str]:
    """Add the settings of predictions to recipes."""
    return {"predict": "gvt_predict.settings:PredictConfig"}


@hookimpl
def gvt_names() -> dict[str, str]:
    """Add the functions to `gvt`."""
    return {
        "Predicted": "gvt_predict.result:Predicted",
        "predict": "gvt_predict.predict:predict",
        "evaluate_predictions": "gvt_predict.judging_results:evaluate_predictions",
    }
