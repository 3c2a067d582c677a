"""Whether the process lives, whether it is of use, and figures of both for Prometheus."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from connectors.base import ConnectorError
from hub.desk import Desk
from state import Store
from state.database import Database
from state.inbox import Arrivals, Inbox

LATE = timedelta(hours=1)
_GOOD = ("done", "nothing to do", "with errors", "waiting")


def last_success(store: Store) -> datetime | None:
    """When a sync last came to its end."""
    marks = ",".join("?" * len(_GOOD))
    row = store.db.execute(f"SELECT max(ended_at) FROM run WHERE kind = 'sync' AND outcome IN ({marks})", _GOOD).fetchone()  # noqa: S608 - marks
    return datetime.fromisoformat(row[0]) if row and row[0] else None


def health(desk: Desk) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @routes.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        """Anybody hears whether; why is for those who may come in."""
        wrong = [reason for reason in (await _hub(desk), await _state(desk)) if reason]
        reasons = {"reasons": wrong} if request.state.visitor is not None else {}
        return JSONResponse({"ready": not wrong, **reasons}, 503 if wrong else 200)

    return routes


async def _hub(desk: Desk) -> str:
    try:
        await desk.records(lambda db: _write(db, desk.clock()))
    except ConnectorError as error:
        return f"the hub's database: {error}"
    return ""


def _write(db: Database, now: datetime) -> None:
    """Something that goes to disk and means nothing: no more deliveries of unknown paths than there were."""
    arrived = Arrivals()
    arrived.refused["", "path"] = 0
    Inbox(db).store(arrived, now)


async def _state(desk: Desk) -> str:
    try:
        last = await desk.from_state(last_success)
    except ConnectorError as error:
        return f"the state: {error}"
    if last is None:
        return "no sync has come to its end yet"
    late = desk.clock() - last
    return f"the last sync that came to its end was {late.total_seconds() / 60:.0f} minutes ago" if late > LATE else ""
