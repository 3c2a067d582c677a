"""Whether the process lives, whether it is of use, and figures of both for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from connectors.base import ConnectorError
from hub import facts
from hub.desk import Desk
from hub.metrics import CONTENT_TYPE, exposition
from state.database import Database
from state.inbox import Arrivals, Inbox

LATE = timedelta(hours=1)


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

    @routes.get("/metrics")
    async def metrics() -> Response:
        """What can be read is told, and whether it could be."""
        told = await asyncio.to_thread(facts.gather, desk.where.state, desk.clock())
        return Response(exposition(told), media_type=CONTENT_TYPE)

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
        read = await desk.from_state(facts.last_read)
    except ConnectorError as error:
        return f"the state: {error}"
    return "; ".join(filter(None, (_late(name, read, desk.clock()) for name in desk.loaded.configuration.rules.sources)))


def _late(source: str, read: Mapping[tuple[str, str], datetime], now: datetime) -> str:
    moments = [at for (system, _), at in read.items() if system == source]
    if not moments:
        return f"{source} has not been read to its end yet"
    late = now - min(moments)
    return f"{source} was last read to its end {late.total_seconds() / 60:.0f} minutes ago" if late > LATE else ""
