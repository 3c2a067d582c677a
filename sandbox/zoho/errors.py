"""Zoho's way of saying no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.web import Reply


class Refused(Exception):
    """One refusal: of a whole request (`reply`), or of one row in it (`body`)."""

    def __init__(self, code: str, message: str, status: int = 400, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details: Mapping[str, Any] = details

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "details": dict(self.details), "message": self.message, "status": "error"}

    def reply(self) -> Reply:
        return Reply.json(self.status, self.body())


def invalid(**details: Any) -> Refused:
    return Refused("INVALID_DATA", "invalid data", **details)


def missing_param(name: str) -> Refused:
    return Refused("REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name=name)


def no_module(index: int = 0) -> Refused:
    return Refused("INVALID_MODULE", "the module name given seems to be invalid", resource_path_index=index)


def no_record(index: int = 1) -> Refused:
    return Refused("INVALID_DATA", "the related id given seems to be invalid", resource_path_index=index)


def no_url() -> Refused:
    return Refused("INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one", 404)


def wrong_method() -> Refused:
    return Refused("INVALID_REQUEST_METHOD", "The http request method type is not a valid one")


def invalid_token() -> Refused:
    return Refused("INVALID_TOKEN", "invalid oauth token", 401)


def no_token() -> Refused:
    return Refused("AUTHENTICATION_FAILURE", "Authentication failed", 401)


def scope_mismatch() -> Refused:
    return Refused("OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL", 401)


def too_many(message: str) -> Refused:
    return Refused("TOO_MANY_REQUESTS", message, 429)
