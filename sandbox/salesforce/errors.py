"""Salesforce's way of saying no."""

from __future__ import annotations

from typing import Any

from sandbox.web import Reply


class ApiError(Exception):
    """One refusal; the REST resources answer it as an array of one object."""

    def __init__(self, code: str, message: str, status: int = 400, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields

    def reply(self) -> Reply:
        return Reply.json(self.status, [self.body()])

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return {**body, "fields": list(self.fields)} if self.fields else body

    def save_error(self) -> dict[str, Any]:
        """The same inside a save result."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}


def not_found() -> ApiError:
    return ApiError("NOT_FOUND", "The requested resource does not exist", 404)


def no_column(name: str, object_name: str) -> ApiError:
    return ApiError("INVALID_FIELD", f"No such column '{name}' on sobject of type {object_name}")


def session_expired() -> ApiError:
    return ApiError("INVALID_SESSION_ID", "Session expired or invalid", 401)


def over_quota() -> ApiError:
    return ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403)
