"""Types of parameters that several modules have."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1)]
"""A fraction, such as that of dropout."""
