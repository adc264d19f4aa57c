"""Parameter types of the detectors."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
"""A share between 0 and 1: an IoU, a score or a fraction."""
