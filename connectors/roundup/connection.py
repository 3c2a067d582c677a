"""How to reach one tracker: the `connection:` section of its mapping file."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class Connection(BaseModel):
    """Where the tracker is, who we are there, and how it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="Address of the tracker, such as https://bugs.example.com/support.")
    login: str = Field(min_length=1, description="Name of the integration user.")
    password: SecretStr = Field(description="Password of the integration user.")
    lookback_seconds: int = Field(120, ge=0, le=86_400, description="How far behind its position each run looks for late commits.")
    page_size: int = Field(100, ge=1, le=200, description="Records read at once; their ids go into the address of the call.")
    sweep_minutes: int = Field(15, ge=0, description="How often, at most, retired and restored records are looked for; 0: in every run.")
    at_once: int = Field(2, ge=1, le=16, description="Requests in flight at once; each costs the server the checking of a password.")

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("url must be the address of a tracker, such as https://bugs.example.com/support, without a user")
        return value.rstrip("/")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth telling about the connection."""
        parts = urlsplit(self.url)
        plain = parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        return ("url is not encrypted: the password can be read on its way; use https",) if plain else ()
