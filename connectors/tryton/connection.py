"""What a mapping of Tryton says: how to reach the database, as whom, and what of project planning is there."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class FieldMap(BaseModel):
    """One entry of the `fields:` section: a field of Tryton's works for one of our names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_field: str = Field(
        pattern=r"^(comment\..*\S.*|[^.]+)$",
        description="A field of project.work, such as `effort_duration`; or `comment.Words`: a line at the end of the comment",
    )
    values: Mapping[str, str] = Field(default={}, description="Our value → what is written; values not listed are used as they are")

    @property
    def label(self) -> str:
        """What the line begins with; empty for a field."""
        return self.custom_field.partition(".")[2]


class Connection(BaseModel):
    """The `connection:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="Address of the server, such as https://tryton.example.com.")
    database: str = Field(min_length=1, description="Name of the database.")
    login: str = Field(min_length=1, description="Login of the integration's user.")
    password: SecretStr = Field(description="Password of the integration's user.")
    company: int | None = Field(None, description="Id of the company to work in; empty: the user's own.")
    web_url: str = Field("", description="Address of the web client, for links; empty: the same as url.")
    lookback_minutes: int = Field(10, ge=0, le=1440, description="How far behind its position each run looks for late commits.")
    page_size: int = Field(500, ge=2, le=2000, description="Records asked for per page.")
    reads_at_once: int = Field(4, gt=0, description="Reads in flight at once.")
    writes_at_once: int = Field(2, gt=0, description="Writes in flight at once.")
    planning: bool = Field(False, description="Whether the module project_plan is there: dates, assignees and dependencies.")
    late_commit_seconds: int = Field(60, ge=0, description="How long a write whose answer was lost may still take effect.")

    @field_validator("url", "web_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an address such as https://tryton.example.com")
        return value.rstrip("/")

    def address(self, model: str, record: int | str) -> str:
        """Where the web client shows a record."""
        return f"{self.web_url or self.url}/#{self.database}/model/{model}/{record}"
