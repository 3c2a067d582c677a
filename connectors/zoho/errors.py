"""What Zoho's answers mean. One table for whole answers and for the rows of a write.

Some of the meanings are dealt with inside this connector: PageLost, NoSuchField, InBlueprint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.base import AuthError, ConfigError, Conflict, ConnectorError, Gone, Rejected, Transient
from connectors.http import Answer, Effect, judge_status
from engine.model import Problem, Read

SYSTEM = "zoho"
HIDDEN = "gone, or hidden from this user by its profile"
EMPTY = (204, 304)  # nothing there, nothing modified since


class PageLost(Rejected):
    """A page token is no longer good, or the list is longer than may be paged through: ask again from the last row read."""


class Locked(Transient):
    """Somebody or something else holds the record: certainly not done, worth another try at once."""


class InBlueprint(Rejected):
    """The field is governed by a Blueprint: only one of its transitions changes it."""


class NotAllowed(AuthError):
    """The token or its user lacks a right, which matters only where it is needed."""


class NoSuchField(Rejected):
    """A field or module that this user does not see; `module` is where it was looked for."""

    def __init__(self, message: str, *, field: str = "", module: str = "") -> None:
        super().__init__(message, field=field, system=SYSTEM)
        self.module = module


Meaning = Callable[[str, str], ConnectorError]


def _auth(words: str, _field: str) -> ConnectorError:
    return AuthError(f"{words}; a new token was refused too, so check the self client and its user")


def _scope(words: str, _field: str) -> ConnectorError:
    return NotAllowed(f"{words}; make a new code with all scopes of docs/systems/zoho.md, and exchange it for a new refresh token")


def _right(words: str, _field: str) -> ConnectorError:
    return NotAllowed(f"{words}; give the integration's user a profile with access to this module")


def _page(words: str, field: str) -> ConnectorError:
    return PageLost(words, field=field)


def _transient(words: str, _field: str) -> ConnectorError:
    return Transient(words)


def _rejected(words: str, field: str) -> ConnectorError:
    return Rejected(words, field=field)


def _url(words: str, _field: str) -> ConnectorError:
    return ConfigError([Problem(words, hint="check region, environment and api_url of the connection")])


CODES: Mapping[str, Meaning] = {
    "INVALID_TOKEN": _auth,
    "AUTHENTICATION_FAILURE": _auth,
    "OAUTH_SCOPE_MISMATCH": _scope,
    "NO_PERMISSION": _right,
    "AUTHORIZATION_FAILED": _right,
    "INVALID_URL_PATTERN": _url,
    "INVALID_MODULE": lambda words, _: NoSuchField(words),
    "EXPIRED_VALUE": _page,
    "TOKEN_BOUND_DATA_MISMATCH": _page,
    "PAGINATION_LIMIT_EXCEEDED": _page,
    "DISCRETE_PAGINATION_LIMIT_EXCEEDED": _page,
    "RECORD_LOCKED": lambda words, _: Locked(words),
    "RECORD_IN_BLUEPRINT": lambda words, field: InBlueprint(words, field=field),
    "ALREADY_MODIFIED": lambda words, _: Conflict(words),
    "INTERNAL_ERROR": _transient,
    "DEPENDENT_SERVICE_ERROR": _transient,
}


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an answer of the API, or None when it is good: JSON, a ZIP file, nothing by design, or a write's rows with a result each."""
    if 200 <= answer.status < 300 or answer.status == 304:
        return None if _is_sound(answer) else Transient(f"status {answer.status}, but the body is not what it should be")
    if effect is not Effect.READ and _has_rows(answer):
        return None
    words, code, field = explain(answer)
    if code == "INVALID_DATA" and field == "page_token":
        return _page(words, field)
    meaning = CODES.get(code)
    if meaning is None and field and answer.status in (400, 404, 412):
        return Rejected(words, field=field)
    return meaning(words, field) if meaning else judge_status(answer, effect, words=words)


def _is_sound(answer: Answer) -> bool:
    if answer.status in EMPTY:
        return not answer.raw
    return isinstance(answer.data, Mapping) or answer.raw[:2] == b"PK"


def _rows(answer: Answer) -> Any:
    return (answer.data.get("data") or answer.data.get("watch")) if isinstance(answer.data, Mapping) else None


def _has_rows(answer: Answer) -> bool:
    rows = _rows(answer)
    return answer.status < 500 and isinstance(rows, list) and bool(rows) and all(isinstance(row, Mapping) and "code" in row for row in rows)


def explain(answer: Answer) -> tuple[str, str, str]:
    """An error answer's words, its code and what is at fault, whichever of the vendor's shapes it has (object, rows, HTML, nothing)."""
    data, rows = answer.data, _rows(answer)
    data = rows[0] if isinstance(rows, list) and rows else data
    if not isinstance(data, Mapping) or not (data.get("code") or data.get("message")):
        kind = "an HTML page" if "<" in answer.text[:200] else "no explanation"
        return f"status {answer.status} with {kind}", "", ""
    return told(data)


def told(error: Mapping[str, Any]) -> tuple[str, str, str]:
    """Words, code and the field or parameter at fault of one error object."""
    code, details = str(error.get("code") or ""), error.get("details")
    details = details if isinstance(details, Mapping) else {}
    field = str(details.get("api_name") or details.get("param_name") or "")
    text = " ".join(str(error.get("message") or "").split())[:300]
    expected = details.get("expected_data_type")
    more = f" ({', '.join(part for part in (field, f'{expected} expected' if expected else '') if part)})" if field or expected else ""
    return (f"{code}: {text}" if text else code) + more, code, field


def row_error(row: Mapping[str, Any]) -> ConnectorError:
    """The meaning of one row's result in the answer to a write. What is wrong with a row concerns no other row."""
    words, code, field = told(row)
    if code == "INVALID_DATA" and field == "id":
        error: ConnectorError = Gone(words)
    elif code == "DUPLICATE_DATA":
        details = row.get("details")
        other = details.get("id", "") if isinstance(details, Mapping) else ""
        error = Rejected(f"{words}; record {other} holds that value already" if other else words, field=field)
    else:
        error = CODES.get(code, _rejected)(words, field)
        if isinstance(error, AuthError | ConfigError | NoSuchField):
            error = Rejected(words, field=field)
    error.system = SYSTEM
    return error


def mismatch_problem(error: NoSuchField, read: Read) -> Problem:
    """A field or module that is not there, told where the mapping file names it."""
    if "Modified_Time" in error.message:
        return Problem(error.message, hint="read another module, or let this user see the field")
    if not error.field:
        return Problem(f"there is no module {error.module or read.object}", hint="misspelt, or hidden from this user")
    for each in (read, *read.children.values()):
        place = next((at for path, at in each.places.items() if path.split(".")[0] == error.field or path == error.field), ())
        if place and each.object == (error.module or each.object):
            return Problem(error.message, hint=HIDDEN, path=place)
    return Problem(error.message, hint=HIDDEN)
