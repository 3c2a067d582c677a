"""What Redmine's answers mean. One table; anything not in it leaves the outcome of a write unknown.

Redmine explains refusals in its user's language, and some not at all, so nothing is read out of the words.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.base import AuthError, ConnectorError, Gone, RateLimited, Rejected
from connectors.http import Answer, Effect, retry_after, unknown

_LONGEST = 300


class Invalid(Rejected):
    """Redmine found a value it does not take (422)."""


class Forbidden(Rejected):
    """Not for this user, or not in this project's state (403)."""


def judge(answer: Answer, effect: Effect) -> ConnectorError | None:
    """The error an answer means, None for done. 204 is how Redmine says done without words."""
    if answer.status == 204:
        return None
    if 200 <= answer.status < 300:
        if _is_whole(answer, effect):
            return None
        return unknown(f"Redmine answered {answer.status} with something else than its JSON", effect)
    meaning = _MEANING.get(answer.status)
    if meaning:
        return meaning(answer)
    return _refused(answer) if 300 <= answer.status < 500 else unknown(words(answer), effect)


def _is_whole(answer: Answer, effect: Effect) -> bool:
    """Whether it is one of Redmine's objects, and names what was made when something was. A change is answered with 204 and nothing else."""
    if not isinstance(answer.data, dict) or effect is Effect.UPDATE:
        return False
    return effect is not Effect.CREATE or any(isinstance(value, dict) and "id" in value for value in answer.data.values())


def words(answer: Answer) -> str:
    """Redmine's own explanation, bounded."""
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    said = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
    return f"Redmine answered {answer.status}: {said[:_LONGEST] or 'no explanation'}"


def _refused(answer: Answer) -> Rejected:
    moved = " (redirected; give the final address as base_url)" if 300 <= answer.status < 400 else ""
    return Rejected(f"{words(answer)}{moved}")


_MEANING: dict[int, Callable[[Answer], ConnectorError]] = {
    401: lambda answer: AuthError(
        f"{words(answer)}; check api_key in mappings/redmine.yaml, and that the REST interface is switched on (Administration, Settings, API)"
    ),
    403: lambda answer: Forbidden(f"{words(answer)}; the project is closed or archived, or the key's user lacks the right"),
    404: lambda answer: Gone(f"{words(answer)}; it does not exist (any more)"),
    422: lambda answer: Invalid(words(answer)),
    429: lambda answer: RateLimited(words(answer), retry_after=retry_after(answer.headers)),
}
