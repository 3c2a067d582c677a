"""How to reach one Salesforce org: the `connection:` section of its mapping file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Grant = Literal["client_credentials", "jwt", "refresh_token"]

NEEDS: dict[Grant, tuple[str, ...]] = {
    "client_credentials": ("client_id", "client_secret"),
    "jwt": ("client_id", "username", "private_key"),
    "refresh_token": ("client_id", "refresh_token", "refresh_token_file"),
}
SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com")


class Connection(BaseModel):
    """Where the org is, how to sign in, and how much of its daily quota may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    auth: Grant = Field("client_credentials", description="OAuth flow used to sign in: client_credentials, jwt or refresh_token.")
    login_url: str = Field(description="My Domain address of the org, such as https://acme.my.salesforce.com.")
    client_id: str = Field("", description="Consumer key of the connected or external client app.")
    client_secret: SecretStr | None = Field(None, description="Consumer secret; needed by client_credentials.")
    username: str = Field("", description="User the jwt flow acts for; it must be pre-authorised for the app.")
    private_key: SecretStr | None = Field(None, description="RSA private key (PEM) whose certificate the app holds; needed by jwt.")
    audience: str = Field("", description="`aud` of the jwt; empty: test.salesforce.com for a sandbox org, else login.salesforce.com.")
    refresh_token: SecretStr | None = Field(None, description="First refresh token; later ones are read from refresh_token_file.")
    refresh_token_file: Path | None = Field(None, description="File that keeps the newest refresh token when the org rotates them.")
    api_version: str = Field("66.0", pattern=r"^\d{2,3}\.0$", description="REST API version.")
    lookback_minutes: int = Field(10, ge=0, le=1440, description="How far behind its position each run looks for late commits.")
    page_size: int = Field(2000, ge=200, le=2000, description="Rows asked for per page.")
    bulk_above: int = Field(10_000, ge=0, description="A first read of more rows than this goes through Bulk API 2.0.")
    quota_share: float = Field(0.8, gt=0, le=1, description="Stop when this share of the org's daily calls is used, by whomever.")
    run_share: float = Field(0.25, gt=0, le=1, description="Stop when one run alone has used this share of the org's daily calls.")

    @field_validator("login_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("login_url must be an address such as https://acme.my.salesforce.com")
        return value.rstrip("/")

    @field_validator("private_key")
    @classmethod
    def _is_pem(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().lstrip().startswith("-----BEGIN"):
            raise ValueError("private_key must be the PEM text itself, beginning with -----BEGIN")
        return value

    @model_validator(mode="after")
    def _has_what_its_grant_needs(self) -> Self:
        missing = [name for name in NEEDS[self.auth] if not getattr(self, name)]
        if missing:
            raise ValueError("; ".join(f"{name} is needed by auth: {self.auth}" for name in missing))
        if self.auth == "client_credentials" and urlsplit(self.login_url).hostname in SHARED_HOSTS:
            raise ValueError("login_url must be the org's My Domain address for auth: client_credentials; login and test hosts refuse it")
        return self

    @property
    def jwt_audience(self) -> str:
        host = urlsplit(self.login_url).hostname or ""
        test = host == "test.salesforce.com" or ".sandbox." in host
        return self.audience or ("https://test.salesforce.com" if test else "https://login.salesforce.com")
