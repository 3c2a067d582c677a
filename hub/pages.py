"""The pages: where things stand, what systems push, what waits for somebody's yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from connectors.base import ConnectorError, StateError
from flows.explain import Standing, standing
from flows.webhooks import alarms, standings
from hub import plans
from hub.access import Visitor
from hub.approvals import Number, approver, decided, numbered, recent, waiting
from hub.desk import Desk
from hub.doors import Fields, check_form, fields
from hub.show import Show
from state import Link, Outbox, Run, Store
from state.approvals import Answer, Approval
from state.database import Database
from state.inbox import Feed, Inbox
from state.subscriptions import Subscribed, Subscriptions

_ANSWERS: Mapping[str, Answer] = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is known of pushes."""

    feeds: Mapping[str, Feed]
    waiting: Mapping[str, tuple[int, datetime]]
    subscriptions: Sequence[Subscribed]


def pushed(db: Database) -> Pushed:
    inbox = Inbox(db)
    return Pushed(inbox.feeds(), inbox.waiting(), Subscriptions(db).all())


def pages(desk: Desk, show: Show) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def overview(request: Request) -> Response:
        stands, runs, told = await _standing(desk)
        hints = await desk.records(lambda db: Inbox(db).waiting())
        asked = await waiting(desk)
        return show(request, "overview", {"stands": stands, "runs": runs, "told": told, "approvals": asked, "hints": hints})

    @routes.get("/pushes")
    async def pushes(request: Request) -> Response:
        known = await desk.records(pushed)
        listened = sorted(desk.loaded.pushes)
        told = alarms(await desk.records(lambda db: standings(desk.loaded, db)), desk.clock())
        return show(request, "pushes", {"known": known, "listened": listened, "alarms": told})

    @routes.get("/approvals")
    async def approvals(request: Request) -> Response:
        asked = await waiting(desk)
        past = [one for one in await recent(desk) if one.state != "waiting"]
        return show(request, "approvals", {"waiting": asked, "decided": past})

    @routes.get("/approvals/{number}")
    async def approval(request: Request, number: Number) -> Response:
        return await _approval(request, number)

    @routes.post("/approvals/{number}")
    async def decide(
        request: Request, number: Number, given: Annotated[Fields, Depends(fields)], who: Annotated[Visitor, Depends(approver)]
    ) -> Response:
        check_form(desk, who, given)
        answer, words = _ANSWERS.get(given.get("answer", "")), given.get("words", "").strip()
        if answer is None:
            raise HTTPException(400, "approve or reject it")
        if answer == "rejected" and not words:
            return await _approval(request, number, "Say in a few words why, so that others know what to mend.", 400)
        try:
            await decided(desk, number, answer, by=who, words=words)
        except StateError as error:
            return await _approval(request, number, str(error), 409)
        return RedirectResponse(f"/approvals/{number}", 303)

    async def _approval(request: Request, number: int, told: str = "", status: int = 200) -> Response:
        found = await numbered(desk, number)
        links = await _links(desk, found)
        values = {"one": found, "sheets": plans.sheets(found.plan, links), "passed": plans.passed(found.plan), "told": told}
        return show(request, "approval", {**values, "open": found.state == "waiting" and desk.clock() < found.expires_at}, status=status)

    return routes


async def _standing(desk: Desk) -> tuple[Standing | None, Sequence[Run], str]:
    """Where things stand and the last runs; or why that cannot be told."""
    try:
        return *await desk.from_state(lambda store: (standing(store), store.runs(10))), ""
    except ConnectorError as error:
        return None, (), str(error)


async def _links(desk: Desk, found: Approval) -> Mapping[str, Link]:
    """What is known already of what a plan is about; nothing where the state does not answer."""
    look: Callable[[Store], Mapping[str, Link]] = lambda store: Outbox(store).links(plans.keys(found.plan))  # noqa: E731 - typed
    try:
        return await desk.from_state(look)
    except ConnectorError:
        return {}
