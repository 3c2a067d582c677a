"""What Odoo's answers mean. The name of its exception decides, never the status alone: a wrong request is a 500, and over JSON-RPC all are 200.

What an answer names was undone with its transaction, so it is certainly not done; the traceback that comes along is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from connectors.base import AuthError, ConfigError, ConnectorError, Gone, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect, judge_status, retry_after, unknown
from engine.model import Problem

SYSTEM = "odoo"
_LONGEST = 400
_SETTINGS = {r"Invalid language code": "language", r'database "[^"]*" does not exist': "database"}


class Denied(Rejected):
    """This user has no right to do that, or to see that record. It concerns one model or one record, so nothing else stops."""


class NotThere(Rejected):
    """The server knows no such model, or the model no such method."""


class WrongRequest(Rejected):
    """The request itself makes no sense to the server (an unknown field, for one): a repetition would fail the same."""


def _auth(words: str) -> ConnectorError:
    return AuthError(f"{words}; check url, database, login and key of the connection, and that the key has not expired")


_WRONG = frozenset({"ValueError", "TypeError", "KeyError", "AttributeError", "IndexError", "NameError", "AssertionError"})
_MEANING: Mapping[str, Callable[[str], ConnectorError]] = {
    "werkzeug.exceptions.Unauthorized": _auth,
    "odoo.exceptions.AccessDenied": _auth,
    "odoo.http.SessionExpiredException": _auth,
    "odoo.exceptions.AccessError": Denied,
    "odoo.exceptions.MissingError": Gone,
    "odoo.exceptions.ValidationError": Rejected,
    "odoo.exceptions.UserError": Rejected,
    "odoo.exceptions.RedirectWarning": Rejected,
    "odoo.exceptions.LockError": Transient,
    "odoo.exceptions.ConcurrencyError": Transient,
    "psycopg2.errors.SerializationFailure": Transient,
    "psycopg2.errors.DeadlockDetected": Transient,
    "psycopg2.errors.LockNotAvailable": Transient,
    "psycopg2.errors.QueryCanceled": Transient,
    "psycopg2.pool.PoolError": Transient,
    "werkzeug.exceptions.NotFound": NotThere,
    "werkzeug.exceptions.BadRequest": WrongRequest,
    "werkzeug.exceptions.UnprocessableEntity": WrongRequest,
}


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an answer of either protocol, or None when it is good."""
    if answer.status == 429:
        return RateLimited(f"Odoo answered 429: {_said(answer)}", retry_after=retry_after(answer.headers))
    fault = _fault(answer)
    if fault is not None:
        return _named(fault, effect)
    if 200 <= answer.status < 300:
        return None if _is_json(answer) else unknown(f"Odoo answered {answer.status} with something else than JSON", effect)
    if 300 <= answer.status < 400 or answer.status in (404, 405):
        return _elsewhere(answer)
    return judge_status(answer, effect, words=f"Odoo answered {answer.status}: {_said(answer)}")


def _is_json(answer: Answer) -> bool:
    return answer.is_json or answer.raw.strip() == b"null"


def _fault(answer: Answer) -> Mapping[str, Any] | None:
    """The exception an answer tells of: JSON-2 tells it as the whole body, JSON-RPC inside its envelope."""
    body = answer.data
    if not isinstance(body, Mapping):
        return None
    if "jsonrpc" in body:
        error = body.get("error")
        data = error.get("data") if isinstance(error, Mapping) else None
        return data if isinstance(data, Mapping) else error if isinstance(error, Mapping) else None
    return body if answer.status >= 400 and "name" in body else None


def _named(fault: Mapping[str, Any], effect: Effect) -> ConnectorError:
    name = str(fault.get("name", ""))
    words = f"{name.rpartition('.')[2] or 'error'}: {_short(fault.get('message'))}"
    if setting := next((setting for said, setting in _SETTINGS.items() if re.search(said, words)), ""):
        return ConfigError([Problem(words, hint=f"check {setting}", path=("connection", setting))])
    if name in _MEANING:
        return _MEANING[name](words)
    if "could not serialize access" in words:
        return Transient(words)
    module, _, kind = name.rpartition(".")
    return WrongRequest(words) if module == "builtins" and kind in _WRONG else unknown(words, effect)


def _elsewhere(answer: Answer) -> ConnectorError:
    hint = f"the server sends elsewhere: {answer.headers['location'][:100]}" if "location" in answer.headers else "check url and database"
    problem = Problem(f"no Odoo API answers there (status {answer.status})", hint=hint, path=("connection", "url"))
    return ConfigError([problem])


def _said(answer: Answer) -> str:
    return "an HTML page" if "<" in answer.text[:200] else _short(answer.text) or "no explanation"


def _short(text: object) -> str:
    return " ".join(str(text or "").split())[:_LONGEST]
