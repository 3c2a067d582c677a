"""What `mappings/kanboard.yaml` says: how to reach Kanboard, whom projects are shared with, and which metadata hold what."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class FieldMap(BaseModel):
    """One entry of the `fields:` section: an entry of a project's metadata for one of our names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_field: str = Field(min_length=1, max_length=50, description="Name of the entry in the project's metadata")
    values: Mapping[str, str] = Field(default={}, description="Our value → what is written; values not listed are used as they are")


class Connection(BaseModel):
    """The `connection:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(min_length=1, description="Address of Kanboard as people open it, without jsonrpc.php")
    token: SecretStr = Field(description="The application's API token (Settings → API), or a personal token of the user named by `login`")
    login: str = Field("jsonrpc", min_length=1, description="jsonrpc for the application's token; else the login of an administrator")
    members: tuple[str, ...] = Field((), description="E-mails of people who become members of every published project")
    start_time: str = Field("09:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time of day that start dates get")
    due_time: str = Field("17:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time of day that due dates get; overdue from then on")
    milestone_tag: str = Field("milestone", min_length=1, max_length=50, description="Tag that marks a milestone")
    waits_for: str = Field("is blocked by", min_length=1, description="Label of the link from a task to one it waits for")
    part_of: str = Field("is a child of", min_length=1, description="Label of the link from a sub-task to the task it is part of")
    reads_at_once: int = Field(4, gt=0, description="Requests that read in flight at once")
    writes_at_once: int = Field(2, gt=0, description="Requests that write in flight at once; SQLite takes one at a time anyway")
    late_commit_seconds: int = Field(60, ge=0, description="How long a write whose answer was lost may still take effect")

    @property
    def is_application(self) -> bool:
        """Whether the token is the application's own, which has every right and is nobody."""
        return self.login == "jsonrpc"
