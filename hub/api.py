"""The same for programs: JSON, with a bearer token."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from connectors.base import StateError
from flows.explain import standing
from hub.access import Visitor
from hub.approvals import Number, approver, decided, numbered, recent, waiting
from hub.desk import Desk
from hub.pages import pushed


class Decision(BaseModel):
    """A person's word on a plan; rejecting needs words."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["approved", "rejected"]
    words: str = Field("", max_length=2000)


def api(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/api")

    @routes.get("/status")
    async def status() -> dict[str, Any]:
        stands = await desk.from_state(standing)
        known = await desk.records(pushed)
        hints = {system: {"waiting": count, "since": since} for system, (count, since) in known.waiting.items()}
        return {**stands.data(), "hints": hints, "feeds": {name: asdict(feed) for name, feed in known.feeds.items()}}

    @routes.get("/approvals")
    async def approvals(state: Literal["waiting", "any"] = "waiting") -> list[dict[str, Any]]:
        return [asdict(one) for one in await (waiting(desk) if state == "waiting" else recent(desk))]

    @routes.get("/approvals/{number}")
    async def approval(number: Number) -> dict[str, Any]:
        return asdict(await numbered(desk, number))

    @routes.post("/approvals/{number}")
    async def decide(number: Number, decision: Decision, who: Annotated[Visitor, Depends(_program)]) -> dict[str, Any]:
        if decision.answer == "rejected" and not decision.words.strip():
            raise HTTPException(422, "rejecting needs words: why")
        try:
            return asdict(await decided(desk, number, decision.answer, by=who, words=decision.words.strip()))
        except StateError as error:
            raise HTTPException(409, str(error)) from error

    return routes


def _program(request: Request, who: Annotated[Visitor, Depends(approver)]) -> Visitor:
    """Only by a token: a cookie goes along by itself, a token does not. Raises 403."""
    del request
    if who.session is not None:
        raise HTTPException(403, "programs decide with a bearer token; people have the page")
    return who
