"""Types of parameters that several networks take."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1)]
"""A part of a whole, such as what dropout leaves out."""
