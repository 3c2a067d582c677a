"""What Salesforce's answers mean. One table for REST errors and for the per-row errors of a collection.

Four of the meanings concern only how we ask, and are dealt with inside this connector: QueryTimeout, QueryTooLong, LocatorGone, SchemaMismatch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.base import (
    AuthError,
    ConfigError,
    Conflict,
    ConnectorError,
    Gone,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Transient,
)
from connectors.http import Answer, Effect, judge_status
from engine.model import Problem, Read

SYSTEM = "salesforce"
HIDDEN = "gone, or hidden from this user by field-level security"
LOCKED = "UNABLE_TO_LOCK_ROW"


class QueryTimeout(Rejected):
    """The query ran too long: ask for less at a time."""


class QueryTooLong(Rejected):
    """The query does not fit into an address: split it."""


class LocatorGone(Rejected):
    """A query's next page is no longer there: ask again from the last row read."""


class Locked(Transient):
    """Somebody else is writing the same row: certainly not done, worth another try at once."""


class SchemaMismatch(Rejected):
    """The query names a field or an object that this user does not see."""


Meaning = Callable[[str, str], ConnectorError]


def _config(words: str, _field: str) -> ConnectorError:
    return ConfigError([Problem(words, hint="ask the administrator to allow API access for this user")])


def _version(words: str, _field: str) -> ConnectorError:
    return ConfigError([Problem(words, hint="set a version the org still speaks", path=("connection", "api_version"))])


def _limit(words: str, _field: str) -> ConnectorError:
    if "concurrent" in words.lower():
        return RateLimited(words, retry_after=20.0)
    return QuotaExhausted(f"{words}; the run goes on from here once the 24-hour window frees calls")


def _auth(words: str, _field: str) -> ConnectorError:
    if "not valid for use with the REST API" in words:
        return AuthError(f"{words}; raise the session security level or the API rights of the integration user")
    return AuthError(f"{words}; a new token was refused too, so check the app and its user")


def _rejected(words: str, field: str) -> ConnectorError:
    return Rejected(words, field=field)


def _gone(words: str, field: str) -> ConnectorError:
    return Rejected(words, field=field) if field else Gone(words)


def _transient(words: str, _field: str) -> ConnectorError:
    return Transient(words)


def _trigger(words: str, field: str) -> ConnectorError:
    return Locked(words) if LOCKED in words else Rejected(words, field=field)


CODES: Mapping[str, Meaning] = {
    "INVALID_SESSION_ID": _auth,
    "INVALID_AUTH_HEADER": _auth,
    "REQUEST_LIMIT_EXCEEDED": _limit,
    "API_DISABLED_FOR_ORG": _config,
    "API_CURRENTLY_DISABLED": _config,
    "TXN_SECURITY_METERING_ERROR": _config,
    "UNSUPPORTED_API_VERSION": _version,
    "QUERY_TIMEOUT": lambda words, _: QueryTimeout(words),
    "OPERATION_TOO_LARGE": lambda words, _: QueryTimeout(words),
    "QUERY_TOO_COMPLICATED": lambda words, _: QueryTooLong(words),
    "INVALID_QUERY_LOCATOR": lambda words, _: LocatorGone(words),
    "INVALID_FIELD": lambda words, field: SchemaMismatch(words, field=field),
    "INVALID_TYPE": lambda words, field: SchemaMismatch(words, field=field),
    "MALFORMED_QUERY": lambda words, field: SchemaMismatch(words, field=field),
    LOCKED: lambda words, _: Locked(words),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _trigger,
    "CANNOT_EXECUTE_FLOW_TRIGGER": _trigger,
    "ENTITY_IS_DELETED": lambda words, _: Gone(words),
    "INVALID_CROSS_REFERENCE_KEY": _gone,
    "NOT_FOUND": lambda words, _: Gone(words),
    "SERVER_UNAVAILABLE": _transient,
    "UNKNOWN_EXCEPTION": _transient,
}


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an answer of the REST API, or None when it is good. A good answer is JSON, CSV, or empty by design (201, 204)."""
    if 200 <= answer.status < 300:
        return None if _is_sound(answer) else Transient(f"status {answer.status}, but the body is not what it should be")
    words, code, field = explain(answer)
    if answer.status in (414, 431):
        return QueryTooLong(words)
    if answer.status == 300:
        return Conflict(f"{words}; the external id is not unique")
    if answer.status in (406, 420):
        return Transient(words)
    meaning = CODES.get(code)
    return meaning(words, field) if meaning else judge_status(answer, effect, words=words)


def _is_sound(answer: Answer) -> bool:
    if "csv" in answer.headers.get("content-type", ""):
        return True
    return answer.is_json or (answer.status in (201, 202, 204) and not answer.raw)


def explain(answer: Answer) -> tuple[str, str, str]:
    """An error answer's words, its code and the field at fault, whichever of the vendor's shapes it has (array, object, HTML, nothing)."""
    first = answer.data[0] if isinstance(answer.data, list) and answer.data else answer.data
    if not isinstance(first, Mapping):
        kind = "an HTML page" if "<" in answer.text[:200] else "no explanation"
        return f"status {answer.status} with {kind}", "", ""
    code = str(first.get("errorCode") or first.get("error") or "")
    return _words(code, first.get("message") or first.get("error_description")), code, _field(first)


def row_error(errors: Sequence[Mapping[str, Any]]) -> ConnectorError:
    """The meaning of one row's errors in the answer to a collection call. What is wrong with a field is Rejected here, not a mismatch."""
    first: Mapping[str, Any] = errors[0] if errors else {}
    code, field = str(first.get("statusCode", "")), _field(first)
    words = _words(code, first.get("message"))
    error = CODES.get(code, _rejected)(words, field)
    if isinstance(error, SchemaMismatch):
        error = Rejected(words, field=field or column_in(words)[0])
    error.system = SYSTEM
    return error


def _words(code: str, message: object) -> str:
    text = " ".join(str(message or "").split())
    return f"{code}: {text[-400:]}" if text else code


def _field(error: Mapping[str, Any]) -> str:
    fields = error.get("fields")
    return str(fields[0]) if isinstance(fields, list) and fields else ""


def column_in(words: str) -> tuple[str, str]:
    """The field and the object that a query error names; empty where it names none."""
    column = re.search(r"No such column '([^']+)'(?: on (?:entity|sobject of type) '?(\w+))?", words)
    relation = re.search(r"(?:understand relationship|No such relation) '([^']+)'", words)
    entity = re.search(r"sObject type '([^']+)' is not supported", words)
    if column:
        return column.group(1), column.group(2) or ""
    return (relation.group(1), "") if relation else ("", entity.group(1) if entity else "")


def mismatch_problem(error: SchemaMismatch, read: Read) -> Problem:
    """A query's refusal, told where the mapping file names the field at fault."""
    column, entity = column_in(error.message)
    column = error.field or column
    at = next((path for path in _places(read, column, entity)), ())
    if not column:
        return Problem(error.message, path=at)
    return Problem(f"{entity or read.object} has no field {column}", hint=HIDDEN, path=at)


def _places(read: Read, column: str, entity: str) -> Iterator[tuple[str | int, ...]]:
    """Places that write this field, the likeliest first: on the object named, then through a relationship, then anywhere below."""
    wanted = column.lower()
    if not entity or entity == read.object:
        yield from (place for path, place in read.places.items() if path.lower() == wanted)
    for child in read.children.values():
        yield from _places(child, column, entity)
    yield from (place for path, place in read.places.items() if wanted in path.lower().split("."))
