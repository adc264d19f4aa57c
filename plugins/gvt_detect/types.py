"""Types of parameters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
"""From none to all: an overlap, a score or a part."""
