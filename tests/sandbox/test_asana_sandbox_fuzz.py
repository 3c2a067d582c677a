"""Whatever is asked of the stand-in of Asana, it answers: it never fails itself, and a refusal changes nothing it lists."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.asana import Asana
from sandbox.asana.routes import ROUTES
from sandbox.web import Request
from tests.sandbox.asana_rig import Clock

TEXTS = ("name", "notes", "html_notes", "text", "html_text", "title", "url")
LINKS = ("workspace", "team", "owner", "assignee", "parent", "section", "project", "task", "tag", "member", "custom_field", "insert_before")
LISTS = ("projects", "memberships", "followers", "tags", "dependencies", "dependents", "members", "actions", "enum_options")
OTHERS = ("privacy_setting", "due_on", "due_at", "start_on", "start_at", "custom_fields", "external", "access_level", "completed")
MORE = ("archived", "resource_subtype", "type", "precision", "status_type", "color", "default_view", "approval_status", "is_pinned")
NAMES = [*TEXTS, *LINKS, *LISTS, *OTHERS, *MORE, "before_section", "enabled", "method", "relative_path", "data", "options", "fields"]
QUERY = ["limit", "offset", "opt_fields", "workspace", "project", "section", "assignee", "parent", "member", "resource_subtype", "resource"]
QUERY += ["sync", "archived", "team", "query", "count", "completed_since", "modified_since", "created_at.after", "resource_type", "text"]


def _app() -> tuple[Asana, list[str]]:
    """A small world and everything in it that can be named."""
    app = Asana(Clock(), enforce_limits=False, external="any", search_lag=0)
    world = app.world
    project, team = world.add_project("p"), world.add_team("t")
    world.add_custom_field("f", "enum", ["a"])
    headers = {"authorization": f"Bearer {world.token}"}
    made = []
    for name in "ab":
        body = json.dumps({"data": {"name": name, "projects": [project]}}).encode()
        made.append(json.loads(app.handle(Request("POST", "/tasks", {}, headers, body)).body)["data"]["gid"])
    world.comment(made[0], "hello", by=world.bot)
    tables = (world.custom_fields, world.enum_options, world.sections, world.stories, world.memberships)
    known = [world.workspace, world.bot, project, team, *made, *(next(iter(table)) for table in tables)]
    return app, known


_, KNOWN = _app()
gids = st.sampled_from([*KNOWN, "1", "me", "external:x", "", "2026-03-09", "2026-03-10T10:00:00Z"])
words = st.sampled_from(
    ["<body>x</body>", "<body><p/></body>", "public_to_workspace", "milestone", "enum", "editor", "project", "(a|b).c", "x"]
)
leaves = st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False) | gids | words | st.text(max_size=5)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(gids | st.sampled_from(NAMES), inner, max_size=3), max_leaves=6
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
queries = st.dictionaries(st.sampled_from(QUERY), gids | words | st.integers(-1, 120).map(str), max_size=4)


@settings(max_examples=400, deadline=None)
@given(key=st.sampled_from(sorted(ROUTES)), ids=st.lists(gids.filter(bool), min_size=2, max_size=2), data=bodies, query=queries)
def test_no_request_makes_the_stand_in_itself_fail(
    key: tuple[str, ...], ids: list[str], data: dict[str, Any], query: dict[str, str]
) -> None:
    app, _ = _app()
    method, *parts = key
    named = iter(ids)
    path = "/" + "/".join(next(named) if part == "{}" else part for part in parts)
    headers = {"authorization": f"Bearer {app.world.token}"}
    reply = app.handle(Request(method, path, query, headers, json.dumps({"data": data}).encode(), path))
    assert reply.status < 500
    assert (reply.status < 300) is ("data" in json.loads(reply.body))
    for listing in ("projects", "tasks?workspace", "users"):
        listed = app.handle(Request("GET", f"/{listing.partition('?')[0]}", _query(app, listing), headers, b""))
        assert listed.status == 200


def _query(app: Asana, listing: str) -> dict[str, str]:
    return {"workspace": app.world.workspace, "assignee": "me"} if "?" in listing else {}
