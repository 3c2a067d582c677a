"""How to reach one Odoo database: the `connection:` section of its mapping file, whichever role it plays."""

from __future__ import annotations

from datetime import time
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Protocol = Literal["auto", "json2", "jsonrpc"]


class Connection(BaseModel):
    """Where the server is, who we are there, and how it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="Address of the server, such as https://acme.odoo.com.")
    database: str = Field("", description="Name of the database; may be left out where the server has just one and speaks JSON-2.")
    key: SecretStr | None = Field(
        None, description="API key of the integration user. JSON-2 needs one; JSON-RPC takes it in place of a password."
    )
    login: str = Field("", description="Login of the integration user; needed by JSON-RPC.")
    password: SecretStr | None = Field(None, description="Password of that user, for JSON-RPC without a key.")
    protocol: Protocol = Field(
        "auto", description="json2 (from Odoo 19 on), jsonrpc (older servers), or auto: the server's version decides."
    )
    language: str = Field(
        "en_US", pattern=r"^[a-z]{2,3}(_[A-Za-z]+)?$", description="Language in which stages, tags and countries are read."
    )
    at_once: int = Field(4, ge=1, le=32, description="Requests in flight at once.")
    lookback_seconds: int = Field(120, ge=0, le=86_400, description="How far behind its position each run looks for late commits (source).")
    page_size: int = Field(200, ge=1, le=2000, description="Records asked for per page (source).")
    sweep_minutes: int = Field(15, ge=0, description="How often, at most, deleted records are looked for; 0: in every run (source).")
    late_commit_seconds: int = Field(120, ge=0, description="How long a write whose answer was lost may still take effect (target).")

    zone: str = Field("UTC", description="Time zone in which a task's due date is meant, such as Europe/Berlin (target).")
    due_time: time = Field(time(17), description="Time of day at which a task is due: Odoo keeps a moment, not a day (target).")
    start_field: str = Field(
        "", description="Field of tasks that holds their start, such as planned_date_begin or x_start; empty: none (target)."
    )
    visibility: Literal["employees", "followers", "invited_users", "portal"] = Field(
        "employees",
        description="Who sees a published project: all employees, or who is invited, without or with guests of the portal (target).",
    )

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"zone is not a time zone: {value!r}; it looks like Europe/Berlin")
        return value

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
            raise ValueError("url must be an address such as https://acme.odoo.com, without a user and without a path")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        if self.key is None and self.password is None:
            raise ValueError("key is needed: an API key made in the preferences of the integration user")
        if self.protocol == "json2" and self.key is None:
            raise ValueError("key is needed by protocol: json2")
        if self.protocol == "jsonrpc" and not (self.login and self.database):
            raise ValueError("login and database are needed by protocol: jsonrpc")
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth telling about the connection."""
        parts = urlsplit(self.url)
        plain = parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        return ("url is not encrypted: the key can be read on its way; use https",) if plain else ()

    @property
    def secret(self) -> str:
        """What JSON-RPC sends in place of a password."""
        secret = self.key or self.password
        return secret.get_secret_value() if secret else ""
