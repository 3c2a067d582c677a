"""What `mappings/asana.yaml` says: how to reach Asana, how to share projects, and which custom fields hold what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class FieldMap(BaseModel):
    """One entry of the `fields:` section: a custom field of Asana for one of our names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_field: str = Field(min_length=1, description="Name or gid of the custom field in Asana")
    values: Mapping[str, str] = Field(
        default={}, description="Our value → the name of Asana's option; values not listed are used as they are"
    )


class Connection(BaseModel):
    """The `connection:` section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(description="Personal access token, service account token or OAuth access token")
    token_kind: Literal["pat", "oauth"] = Field("pat", description="Where the token comes from; `key: external` needs oauth")
    workspace: str = Field(min_length=1, description="Gid of the workspace or organization")
    team: str | None = Field(None, description="Gid of the team that new projects are shared with")
    base_url: str = Field("https://app.asana.com/api/1.0", description="Address of the API")
    sharing: Literal["membership", "team"] = Field(
        "membership", description="How the team gets its projects: by a membership, or by the older `team` of a new project"
    )
    members: tuple[str, ...] = Field((), description="E-mails of people that every published project is shared with")
    privacy: Literal["public_to_workspace", "private"] = Field("public_to_workspace", description="Who sees a published project")
    default_view: Literal["list", "board", "timeline", "calendar"] = Field("list", description="How a new project opens")
    per_minute: int = Field(1500, gt=0, description="Requests a minute the plan allows: 1500 when paid, 150 when free")
    reads_at_once: int = Field(50, gt=0, description="Reads in flight at once")
    writes_at_once: int = Field(15, gt=0, description="Writes in flight at once")
    key: Literal["notes", "external", "custom_field"] = Field("notes", description="Where a task carries its key")
    key_field: str | None = Field(None, description="Name or gid of the text custom field for `key: custom_field`")
    date_field_form: Literal["object", "string"] = Field("object", description="How date custom fields are written")
    late_commit_seconds: int = Field(60, ge=0, description="How long a write whose answer was lost may still take effect")
    default_sections: tuple[str, ...] = Field(
        ("Untitled section", "(no section)"), description="Names Asana gives the section that every new project is born with"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key == "external" and self.token_kind == "pat":  # noqa: S105 (a kind of token)
            raise ValueError("key: external needs an OAuth token; set token_kind: oauth or choose key: notes")
        if self.key == "custom_field" and not self.key_field:
            raise ValueError("key: custom_field needs key_field, the name of a text custom field")
        if self.sharing == "team" and not self.team:
            raise ValueError("sharing: team needs team, the gid of a team")
        return self
