"""What Roundup's answers mean. An error is JSON with a message, but for a refused login, which is plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.base import AuthError, ConfigError, Conflict, ConnectorError, Gone, RateLimited, Rejected, Transient
from connectors.http import Answer, Effect, judge_status, retry_after
from engine.model import Problem

SYSTEM = "roundup"
_LONGEST = 300
_FIELD = re.compile(r"Unknown property: ([\w.]+)|[Pp]roperty (\w+)|not allowed: ([\w.]+)|Field (\w+) is not valid")


class Denied(Rejected):
    """This user may not see or do that. It concerns one class or one item, so nothing else stops."""


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The meaning of an answer, or None when it is good. Every call that writes carries a precondition, so each may be repeated."""
    words = _words(answer)
    if 200 <= answer.status < 300:
        good = isinstance(answer.data, Mapping) and "data" in answer.data
        return None if good else Transient(f"Roundup answered {answer.status} with something else than its JSON")
    match answer.status:
        case 400:
            return Rejected(words, field=_field(words))
        case 401:
            return AuthError(f"Roundup refused the login ({words}); check login and password of the connection")
        case 403:
            return Denied(f"Roundup forbids it: {words}")
        case 404 | 405 if not answer.is_json:
            hint = "check url: it ends with the tracker's name, and its REST interface must be on"
            return ConfigError([Problem("no Roundup tracker answers there", hint=hint, path=("connection", "url"))])
        case 404 | 410:
            return Gone(words)
        case 412:
            return Conflict(words)
        case 429:
            return RateLimited(words, retry_after=retry_after(answer.headers))
    return judge_status(answer, effect, words=f"Roundup answered {answer.status}: {words}")


def _words(answer: Answer) -> str:
    error = answer.data.get("error") if isinstance(answer.data, Mapping) else None
    said = error.get("msg") if isinstance(error, Mapping) else answer.text
    text = " ".join(str(said or "no explanation").split())[:_LONGEST]
    return "an HTML page" if text.startswith("<") else text


def _field(words: str) -> str:
    found = _FIELD.search(words)
    return next((name for name in found.groups() if name), "") if found else ""
