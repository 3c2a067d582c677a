"""The same for programs: JSON, with a bearer token."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from connectors.base import StateError
from flows.explain import standing
from hub.access import Visitor
from hub.desk import Desk
from hub.pages import Number, approver, pushed
from state.approvals import Approval, Approvals


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
        listed = await desk.records(lambda db: Approvals(db).waiting(desk.clock()) if state == "waiting" else Approvals(db).recent())
        return [asdict(one) for one in listed]

    @routes.get("/approvals/{number}")
    async def approval(number: Number) -> dict[str, Any]:
        found = await desk.records(lambda db: Approvals(db).get(number))
        if found is None:
            raise HTTPException(404, f"there is no approval {number}")
        return asdict(found)

    @routes.post("/approvals/{number}")
    async def decide(number: Number, decision: Decision, who: Annotated[Visitor, Depends(_program)]) -> dict[str, Any]:
        if decision.answer == "rejected" and not decision.words.strip():
            raise HTTPException(422, "rejecting needs words: why")
        try:
            found = await desk.records(lambda db: _decide(Approvals(db), number, decision, who, desk))
        except StateError as error:
            raise HTTPException(409, str(error)) from error
        return asdict(found)

    return routes


def _decide(approvals: Approvals, number: int, decision: Decision, who: Visitor, desk: Desk) -> Approval:
    return approvals.decide(number, decision.answer, by=who.name, words=decision.words.strip(), now=desk.clock())


def _program(request: Request, who: Annotated[Visitor, Depends(approver)]) -> Visitor:
    """Only by a token: a cookie goes along by itself, a token does not. Raises 403."""
    del request
    if who.session is not None:
        raise HTTPException(403, "programs decide with a bearer token; people have the page")
    return who
