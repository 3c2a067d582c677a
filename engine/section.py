"""What the sections of the files that users write have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Section(BaseModel):
    """Shared settings of every section: immutable, unknown keys refused."""

    # a number where text is wanted is that text: `values: {1: gold}` and `api_version: 61.0` need no quotes
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)
