"""The functions `gvt.fit`, `gvt.save` and `gvt.add_head`."""

from __future__ import annotations

from gvt_registry import hookimpl


@hookimpl
def gvt_names() -> dict[str, str]:
    """Offer the functions."""
    return {
        "fit": "gvt_code.fitting:fit",
        "save": "gvt_code.saving:save",
        "add_head": "gvt_code.saving:add_head",
    }
