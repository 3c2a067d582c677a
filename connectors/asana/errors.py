"""What Asana's answers mean. One table; anything not in it leaves the outcome of a write unknown."""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.base import AuthError, ConnectorError, Gone, RateLimited, Rejected
from connectors.http import Answer, Effect, retry_after, unknown

_LONGEST = 300
_FIELD = re.compile(r"^(?:Missing input: ([a-z_]+)|([a-z_]+)(?:\.[a-z_0-9]+)*:)|(custom[_ ]field)")


class StaleSync(Rejected):
    """The event token is missing or too old; `sync` is a fresh one."""

    def __init__(self, message: str, sync: str) -> None:
        super().__init__(message)
        self.sync = sync


class Judge:
    """Turns answers into errors, and keeps the deprecations Asana announces: name → what it said."""

    def __init__(self) -> None:
        self.deprecations: dict[str, str] = {}

    def __call__(self, answer: Answer, effect: Effect) -> ConnectorError | None:
        self._note(answer.headers.get("asana-change", ""))
        if 200 <= answer.status < 300:
            return (
                None if _is_whole(answer, effect) else unknown(f"Asana answered {answer.status} with something else than its JSON", effect)
            )
        meaning = _MEANING.get(answer.status)
        return meaning(answer) if meaning else unknown(words(answer), effect)

    def _note(self, header: str) -> None:
        for change in filter(None, (part.strip() for part in header.split(","))):
            facts = dict(fact.split("=", 1) for fact in change.split(";") if "=" in fact)
            self.deprecations[facts.get("name", change)] = change


def _is_whole(answer: Answer, effect: Effect) -> bool:
    """Whether it is Asana's envelope, and says what was made when something was."""
    data = answer.data.get("data") if isinstance(answer.data, dict) else None
    return isinstance(data, list) or (isinstance(data, dict) and (effect is not Effect.CREATE or "gid" in data))


def words(answer: Answer) -> str:
    """Asana's own explanation, bounded."""
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    said = "; ".join(str(error.get("message", "")) for error in errors or () if isinstance(error, dict))
    phrase = next((str(error["phrase"]) for error in errors or () if isinstance(error, dict) and error.get("phrase")), "")
    quoted = f" (for their support: {phrase})" if phrase else ""
    return f"Asana answered {answer.status}: {said[:_LONGEST] or 'no explanation'}{quoted}"


def _refused(answer: Answer) -> Rejected:
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    found = _FIELD.search(str(errors[0].get("message", ""))) if errors and isinstance(errors[0], dict) else None
    name = next(filter(None, found.groups()), "") if found else ""
    return Rejected(words(answer), field="custom_fields" if name.startswith("custom") else name)


def _unpaid(answer: Answer) -> ConnectorError:
    return Rejected(f"{words(answer)}; the Asana plan does not include this, use a paid plan or leave it out of the blueprint")


def _forbidden(answer: Answer) -> ConnectorError:
    said = words(answer)
    return AuthError(f"{said}; grant the token that scope") if "scope" in said.lower() else _refused(answer)


def _stale(answer: Answer) -> ConnectorError:
    return StaleSync(words(answer), str(answer.data.get("sync", "")) if isinstance(answer.data, dict) else "")


_MEANING: dict[int, Callable[[Answer], ConnectorError]] = {
    400: _refused,
    401: lambda answer: AuthError(f"{words(answer)}; check `token` under `connection:` in its mapping"),
    402: _unpaid,
    403: _forbidden,
    404: lambda answer: Gone(words(answer)),
    405: _refused,
    412: _stale,
    413: _refused,
    422: _refused,
    429: lambda answer: RateLimited(words(answer), retry_after=retry_after(answer.headers)),
    451: _refused,
}
