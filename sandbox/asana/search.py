"""Finding by text: late, and never the whole truth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sandbox.asana.dates import instant
from sandbox.asana.routes import Call, Done, page_size, route
from sandbox.asana.state import Record, Refused


def _indexed(call: Call, rows: Iterable[Record]) -> Iterable[Record]:
    """What the index has heard of by now."""
    known = call.state.clock() - timedelta(seconds=call.state.settings.search_lag)
    return (row for row in rows if datetime.fromisoformat(row.get("created_at", "2000-01-01T00:00:00Z")) <= known)


def _allowed(call: Call) -> None:
    if call.state.settings.plan == "free":
        raise Refused(402, "Search is only available to premium users.")
    wait = call.state.search_limit(call.token.text) if call.state.search_limit else 0.0
    if wait:
        raise Refused(429, "You have made too many search requests recently.", headers={"Retry-After": str(int(wait))})


def _seen(call: Call, kind: str) -> Iterable[Record]:
    state = call.state
    match kind:
        case "project":
            return (row for row in state.projects.values() if state.sees(call.by, row))
        case "task":
            return (row for row in state.tasks.values() if state.sees_task(call.by, row))
        case "user":
            return state.users.values()
        case "team":
            return state.teams.values()
        case "tag":
            return state.tags.values()
        case "custom_field":
            return state.custom_fields.values()
    raise Refused(400, f"resource_type: Not a valid value: {kind}")


@route("GET", "/workspaces/{}/typeahead")
def typeahead(call: Call) -> Done:
    """Names that hold the query; one page, never complete."""
    kind = call.query.get("resource_type") or call.query.get("type") or ""
    wanted, most = call.query.get("query", "").casefold(), page_size(call.query.get("count", "20"))
    rows = [row for row in _indexed(call, _seen(call, kind)) if wanted in str(row["name"]).casefold()]
    call.query.pop("limit", None)
    return call.listed(kind, rows[::-1][:most])


@route("GET", "/workspaces/{}/projects/search")
def search_projects(call: Call) -> Done:
    return _search(call, "project")


@route("GET", "/workspaces/{}/tasks/search")
def search_tasks(call: Call) -> Done:
    return _search(call, "task")


def _search(call: Call, kind: str) -> Done:
    """Text in names (and notes of tasks), text values of custom fields, a range of creation; one page in no order to rely on."""
    _allowed(call)
    most = page_size(call.query.pop("limit", "100"))
    rows = [row for row in _indexed(call, _seen(call, kind)) if _matches(row, call.query)]
    call.state.random.shuffle(rows)
    if call.query.get("sort_by") == "created_at":
        rows.sort(key=lambda row: str(row["created_at"]), reverse=call.query.get("sort_ascending") != "true")
    return call.listed(kind, rows[:most])


def _matches(row: Record, query: dict[str, str]) -> bool:
    text = query.get("text", "").casefold()
    if text not in f"{row['name']} {row['notes']}".casefold():
        return False
    for name, wanted in query.items():
        if name.startswith("custom_fields.") and name.endswith(".value") and row["custom_fields"].get(name.split(".")[1]) != wanted:
            return False
    at = datetime.fromisoformat(row["created_at"])
    after, before = query.get("created_at.after"), query.get("created_at.before")
    return (after is None or at > instant(after, "created_at.after")) and (before is None or at < instant(before, "created_at.before"))
