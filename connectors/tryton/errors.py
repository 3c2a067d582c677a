"""What Tryton's answers mean. A refusal comes with status 200 and an `error`; anything unknown leaves the outcome of a write unknown."""

from __future__ import annotations

import re
from typing import Any

from connectors.base import (
    AuthError,
    ConfigError,
    Conflict,
    ConnectorError,
    Gone,
    RateLimited,
    Rejected,
)
from connectors.http import Answer, Effect, judge_status, retry_after, unknown
from engine.model import Problem

SYSTEM = "tryton"
_LONGEST = 300
_GONE = re.compile(r"records? .* that don't exist")
_ADVICE = "check login and password of the connection, and that the user is active"


class WrongRequest(Rejected):
    """The server has no such model, field or value; it names no kind of error, only what it stumbled over."""


class Denied(Rejected):
    """This user may not do that."""


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an answer to a call."""
    if answer.status == 200:
        return _judge_body(answer.data, effect)
    match answer.status:
        case 401:
            return AuthError(f"Tryton refused the session, a new one too; {_ADVICE}")
        case 403:
            return Denied("Tryton does not allow this call to this user")
        case 404:
            problem = Problem("the server has no such database", hint="check url and database", path=("connection", "database"))
            return ConfigError([problem])
        case 422:
            return WrongRequest("Tryton does not understand the call")
        case 429:
            return RateLimited("Tryton asks to slow down", retry_after=retry_after(answer.headers))
    return judge_status(answer, effect, words=f"Tryton answered {answer.status}")


def judge_login(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of the answer to a login."""
    if answer.status == 401:
        return AuthError(f"Tryton refused the login; {_ADVICE}")
    if answer.status == 429:
        return RateLimited("Tryton refuses more logins for now: too many failed", retry_after=retry_after(answer.headers, 60.0))
    error = judge(answer, effect)
    if error is None and not (isinstance(answer.data["result"], list) and len(answer.data["result"]) > 1):
        return AuthError(f"Tryton gave no session; {_ADVICE}")
    return AuthError(f"Tryton refused the login; {_ADVICE}") if isinstance(error, Rejected) else error


def _judge_body(data: Any, effect: Effect) -> ConnectorError | None:
    if isinstance(data, dict) and "result" in data and "error" not in data:
        return None
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, list) and error:
        return _refusal(str(error[0]), error[1] if len(error) > 1 else None)
    return unknown("Tryton answered with something else than its JSON", effect)


def _refusal(name: str, payload: Any) -> ConnectorError:
    """An error of the server's: its transaction was undone."""
    match name:
        case "UserError":
            words = _words(payload, 0)
            return Gone(words) if _GONE.search(words) else Denied(words) if "not allowed to access" in words else Rejected(words)
        case "UserWarning":
            return Rejected(_words(payload, 1))
        case "ConcurrencyException":
            return Conflict("Tryton: the record was changed meanwhile")
        case "LoginException" | "RateLimitException":
            return AuthError(f"Tryton asks to log in another way; {_ADVICE}")
    return WrongRequest(f"Tryton stumbled over {name[:_LONGEST]}")


def _words(payload: Any, at: int) -> str:
    """The sentence people are shown; what follows it may be very long, and is not for people."""
    sentence = payload[at] if isinstance(payload, list) and len(payload) > at else payload
    return f"Tryton: {' '.join(str(sentence).split())[:_LONGEST]}"
