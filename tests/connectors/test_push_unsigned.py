"""Odoo's and Kanboard's webhooks, which are not signed: the address is the secret, and Kanboard's token where it is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.kanboard.push import Settings
from connectors.push import TOOL
from engine.model import Hint
from tests.connectors.push_rig import SYSTEMS, delivery

ODOO, KANBOARD = SYSTEMS["odoo"], SYSTEMS["kanboard"]
SEEN = {  # sent by a real server, 19.0
    "_action": "post(#292)",
    "_id": 3,
    "_model": "crm.lead",
    "id": 3,
    "name": "Hook deal",
    "stage_id": 4,
    "won_status": "won",
    "expected_revenue": 5.0,
    "partner_id": False,
    "write_date": "2026-11-22 05:55:53.464787",
}
MOVED = {  # sent by a real server, 1.2.51
    "event_name": "task.move.column",
    "event_data": {"task_id": 1, "task": {"id": 1}, "changes": {"src_column_id": 2, "dst_column_id": 4}, "project_id": 1},
    "event_author": None,
}


def test_odoo_names_the_record_of_a_model_that_is_read() -> None:
    received = ODOO.receive(delivery(SEEN))
    assert (received.hints, received.events, received.status) == ((Hint("deal", "3"),), 1, 200)


@pytest.mark.parametrize("model", ["project.task", "project.project", "project.milestone", "project.update"])
def test_odoo_tells_that_something_in_its_projects_changed(model: str) -> None:
    assert ODOO.receive(delivery({**SEEN, "_model": model})).hints == (TOOL,)


@pytest.mark.parametrize("more", [{"_model": "sale.order"}, {"_id": -1}, {"_id": 0}, {"_id": True}])
def test_what_odoo_says_of_something_else_is_no_hint(more: dict[str, Any]) -> None:
    assert ODOO.receive(delivery({**SEEN, **more})).hints == ()


@pytest.mark.parametrize("more", [{"_model": None}, {"_model": 3}, {"_id": None}, {"_id": "3"}, {"_id": 3.5}, {"_id": [3]}, {"_id": 2**31}])
def test_odoo_without_model_and_id_is_refused(more: dict[str, Any]) -> None:
    assert ODOO.refuses(delivery({**SEEN, **more})) == (400, "body")


@pytest.mark.parametrize("body", [[], [SEEN], "crm.lead", None, 3])
def test_odoo_without_an_object_is_refused(body: object) -> None:
    assert ODOO.refuses(delivery(body)) == (400, "body")


@pytest.mark.parametrize("event", [MOVED, {"event_name": "comment.create"}, {"event_name": "task_internal_link.create_update"}])
def test_kanboard_tells_that_something_changed(event: dict[str, Any]) -> None:
    received = KANBOARD.receive(delivery(event))
    assert (received.hints, received.events, received.status) == ((TOOL,), 1, 200)


@pytest.mark.parametrize("body", [{}, [], [MOVED], {"event_name": None}, {"event_name": ""}, {"event_name": 1}, "task.create"])
def test_kanboard_without_an_event_is_refused(body: object) -> None:
    assert KANBOARD.refuses(delivery(body)) == (400, "body")


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": "other"}, {"token": "S3CRET"}, {"Token": "s3cret"}])
def test_kanboards_token_is_compared_where_it_is_known(query: dict[str, str]) -> None:
    kanboard = replace(KANBOARD, settings=Settings(token="s3cret"))
    assert kanboard.receive(delivery(MOVED, query={"token": "s3cret"})).hints == (TOOL,)
    assert kanboard.refuses(delivery(MOVED, query=query)) == (401, "signature")
    assert kanboard.refuses(delivery({**MOVED, "token": "s3cret"}, {"token": "s3cret"}, query=query)) == (401, "signature")
    assert KANBOARD.receive(delivery(MOVED, query=query)).hints == (TOOL,)
