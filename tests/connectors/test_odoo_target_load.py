"""Making many records in one call: what Odoo says of rows it refused, of others who write the same, and what is sent again."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

from connectors.base import Ambiguous, ConnectorError, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.odoo import Connection
from connectors.odoo.rpc import Rpc
from connectors.odoo.target.load import Draft, Loader
from connectors.odoo.target.values import Ref, Refs

CLASH = "could not serialize access due to concurrent update"


def refused(*rows: int, words: str = "no") -> dict[str, Any]:
    return {"ids": False, "messages": [{"type": "error", "record": row, "field": "name", "message": words} for row in rows], "nextrow": 0}


def made(*ids: int) -> dict[str, Any]:
    return {"ids": list(ids), "messages": [], "nextrow": 0}


class Server(httpx.AsyncBaseTransport):
    """Says what it was told to, one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.bodies: list[Any] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        return httpx.Response(200, json=self.answers.pop(0))

    @property
    def rows(self) -> list[list[str]]:
        """The external ids of each call."""
        return [[row[0] for row in body["data"]] for body in self.bodies]


async def nap(seconds: float) -> None:
    del seconds


async def load(server: Server, *names: str, effect: Effect = Effect.CREATE) -> list[int | ConnectorError]:
    runtime = Runtime(transport=server, sleep=nap, random=random.Random(1))
    async with Rpc(Connection(url="http://odoo.test", key="k" * 40, protocol="json2"), runtime) as rpc:
        return await Loader(rpc, runtime).load("project.task", [Draft(f"handoff.{name}", {"name": name}) for name in names], effect=effect)


async def test_what_is_there_already_is_left_alone() -> None:
    server = Server(made(7, 8))
    assert await load(server, "a", "b") == [7, 8]
    context = server.bodies[0]["context"]
    assert (context["mode"], context["noupdate"], context["tz"]) == ("update", True, "UTC")


async def test_rows_that_are_refused_are_left_out_and_the_rest_is_sent_again() -> None:
    server = Server(refused(1), refused(0), made(9))
    first, second, third = await load(server, "a", "b", "c")
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert third == 9
    assert server.rows == [["handoff.a", "handoff.b", "handoff.c"], ["handoff.a", "handoff.c"], ["handoff.c"]]
    assert second.field == "name"


async def test_a_refusal_that_names_no_row_is_of_them_all() -> None:
    told = {"ids": False, "messages": [{"type": "error", "message": "this cannot be"}], "nextrow": 0}
    outcomes = await load(Server(told), "a", "b")
    assert [type(outcome) for outcome in outcomes] == [Rejected, Rejected]
    assert "this cannot be" in str(outcomes[0])


async def test_others_who_write_the_same_are_waited_out() -> None:
    server = Server(refused(0, words=CLASH), refused(0, words=CLASH), made(7))
    assert await load(server, "a") == [7]


async def test_others_who_go_on_writing_the_same_leave_it_certainly_not_done() -> None:
    server = Server(*[refused(0, words=CLASH)] * 5)
    (outcome,) = await load(server, "a")
    assert isinstance(outcome, Transient)
    assert len(server.bodies) == 5


@pytest.mark.parametrize("answer", [made(7), {"ids": [7, 8]}, [], True])
async def test_an_answer_that_does_not_say_what_became_of_each_leaves_all_in_doubt(answer: Any) -> None:
    outcomes = await load(Server(answer), "a", "b")
    assert [type(outcome) for outcome in outcomes] == [Ambiguous, Ambiguous]


async def test_records_with_other_columns_go_by_themselves_and_answers_stay_in_order() -> None:
    server = Server(made(1, 3), made(2))
    runtime = Runtime(transport=server, sleep=nap)
    drafts = [
        Draft("handoff.a", {"name": "a", "project_id": Ref(4)}),
        Draft("handoff.b", {"name": "b", "active": False}),
        Draft("handoff.c", {"name": "c", "project_id": Ref(4)}),
    ]
    async with Rpc(Connection(url="http://odoo.test", key="k" * 40, protocol="json2"), runtime) as rpc:
        assert await Loader(rpc, runtime).load("project.task", drafts) == [1, 2, 3]
    assert [body["fields"] for body in server.bodies] == [["id", "name", "project_id/.id"], ["id", "name", "active"]]
    assert server.bodies[1]["data"] == [["handoff.b", "b", "0"]]


async def test_relations_go_by_database_id() -> None:
    server = Server(made(1))
    runtime = Runtime(transport=server, sleep=nap)
    values = {"user_ids": Refs((2, 3)), "parent_id": Ref(0), "date_deadline": None, "x_value": 1.5}
    async with Rpc(Connection(url="http://odoo.test", key="k" * 40, protocol="json2"), runtime) as rpc:
        await Loader(rpc, runtime).load("project.task", [Draft("handoff.a", values)])
    (body,) = server.bodies
    assert dict(zip(body["fields"], body["data"][0], strict=True)) == {
        "id": "handoff.a",
        "user_ids/.id": "2,3",
        "parent_id/.id": "",
        "date_deadline": "",
        "x_value": "1.5",
    }
