"""What `mappings/redmine.yaml` says: how to reach Redmine, what its tasks and members are to be, and which custom fields hold what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class FieldMap(BaseModel):
    """One entry of the `fields:` section: a custom field of Redmine for one of our names."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    custom_field: str = Field(min_length=1, description="Name or id of the custom field in Redmine; projects and tasks have their own")
    values: Mapping[str, str] = Field(
        default={}, description="Our value → Redmine's possible value; values not listed are used as they are"
    )


class Connection(BaseModel):
    """The `connection:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    base_url: str = Field(min_length=1, description="Address of Redmine, up to where /projects begins")
    api_key: SecretStr = Field(description="API access key of an administrator (My account)")
    tracker: str | None = Field(None, description="Name or id of the tracker of tasks; without it the first tracker")
    milestone_tracker: str | None = Field(None, description="Name or id of the tracker that makes a task a milestone")
    role: str = Field("Developer", description="Name or id of the role of those who get tasks; it must be assignable")
    owner_role: str = Field("Manager", description="Name or id of the role of a project's owner")
    members: tuple[str, ...] = Field((), description="E-mails of people who become members of every published project")
    privacy: Literal["private", "public"] = Field("private", description="Who sees a published project: its members, or everybody")
    parent: str | None = Field(None, description="Identifier of the project that new projects are put under")
    modules: tuple[str, ...] = Field(
        ("issue_tracking", "news", "calendar", "gantt"), description="Modules of new projects; without news, no status updates"
    )
    key: Literal["description", "custom_field"] = Field("description", description="Where a task carries its key")
    key_field: str | None = Field(None, description="Name or id of the text custom field for `key: custom_field`")
    text: Literal["markdown", "textile"] = Field("markdown", description="The server's text formatting (Administration, Settings, General)")
    relation: Literal["blocks", "precedes"] = Field("blocks", description="What a dependency is; with precedes Redmine moves dates")
    parent_dates: Literal["derived", "independent"] = Field(
        "derived", description="Whether a parent task's dates are its sub-tasks' (the server's setting)"
    )
    reads_at_once: int = Field(8, gt=0, description="Reads in flight at once")
    writes_at_once: int = Field(4, gt=0, description="Writes in flight at once")
    late_commit_seconds: int = Field(60, ge=0, description="How long a write whose answer was lost may still take effect")
    lookback_seconds: int = Field(60, ge=1, description="How long after its time stamp a change may become visible")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key == "custom_field" and not self.key_field:
            raise ValueError("key: custom_field needs key_field, the name of a text custom field")
        if "issue_tracking" not in self.modules:
            raise ValueError("modules must hold issue_tracking, without which a project has no tasks")
        return self
