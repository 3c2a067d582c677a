"""Up to ten actions in one request, in no particular order, answered in the order asked."""

from __future__ import annotations

from typing import Any

from sandbox.asana.routes import Answer, Call, Done, checked, resolve, route
from sandbox.asana.state import Record, Refused

MOST = 10
UNBATCHED = ("batch", "attachments", "organization_exports", "scim")


@route("POST", "/batch")
def post_batch(call: Call) -> Done:
    actions = call.data.get("actions")
    if not isinstance(actions, list) or not 1 <= len(actions) <= MOST:
        raise Refused(400, f"actions: Between 1 and {MOST} actions are expected")
    order = list(range(len(actions)))
    if call.state.settings.shuffle_batch:
        call.state.random.shuffle(order)
    results: dict[int, Record] = {index: _result(call, actions[index]) for index in order}
    return Done(200, {"data": [results[index] for index in range(len(actions))]})


def _result(call: Call, action: Any) -> Record:
    done = _run(call, action)
    headers = {name.lower(): value for name, value in done.headers.items()}
    return {"status_code": done.status, "headers": headers, "body": done.body}


def _run(call: Call, action: Any) -> Done:
    broken = call.state.batch_faults.popleft() if call.state.batch_faults else None
    if broken is None:
        return _done(call, action)
    status, done = broken
    if done:
        _done(call, action)
    return failed(Refused(status, "Server Error"))


def _done(call: Call, action: Any) -> Done:
    try:
        answer, inner = _inner(call, action)
    except Refused as refusal:
        return failed(refusal)
    return attempt(answer, inner)


def _inner(call: Call, action: Any) -> tuple[Answer, Call]:
    if not isinstance(action, dict) or not isinstance(action.get("relative_path"), str) or not isinstance(action.get("method"), str):
        raise Refused(400, "actions: Each needs relative_path and method")
    path, method = action["relative_path"], action["method"].upper()
    if "?" in path:
        raise Refused(400, "relative_path: Query parameters are not allowed; use data and options")
    if path.strip("/").partition("/")[0] in UNBATCHED:
        raise Refused(400, f"relative_path: {path} is not supported in a batch")
    data, options = action.get("data") or {}, action.get("options") or {}
    if not isinstance(data, dict) or not isinstance(options, dict) or not isinstance(options.get("fields") or [], list):
        raise Refused(400, "actions: data and options are objects, and fields an array")
    answer, pattern, ids = resolve(method, path)
    query = {name: str(options[name]) for name in ("limit", "offset") if name in options}
    if method == "GET":
        query = {name: str(value) for name, value in data.items()} | query
    fields = ",".join(map(str, options.get("fields") or ())) or query.get("opt_fields", "")
    call.state.calls[f"{method} /{pattern}"] += 1
    return answer, Call(call.state, call.token, method, path, ids, query, checked(data), fields, in_batch=True)


def attempt(answer: Answer, call: Call) -> Done:
    """The answer, or the refusal in the form Asana gives it."""
    try:
        return answer(call)
    except Refused as refusal:
        return failed(refusal)


def failed(refusal: Refused) -> Done:
    help_text = (
        "For more information on API status codes and how to handle them, read the docs on errors: https://developers.asana.com/docs/errors"
    )
    body = {"errors": [{"message": refusal.message, "help": help_text}], **refusal.extra}
    return Done(refusal.status, body, refusal.headers)
