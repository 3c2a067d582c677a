"""What waits for somebody's yes, for pages and programs alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, HTTPException, Path

from hub.access import Visitor
from hub.desk import Desk
from hub.doors import visitor
from state.approvals import Answer, Approval, Approvals

Number = Annotated[int, Path(ge=1, lt=1 << 63)]  # as large as a database counts


def approver(who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
    """Somebody who may decide. Raises 403 for others."""
    if not who.may_approve:
        raise HTTPException(403, "your role is reader; deciding is for approvers (`handoff access add NAME --role approver`)")
    return who


async def waiting(desk: Desk) -> Sequence[Approval]:
    """What waits for an answer, eldest first."""
    return await desk.records(lambda db: Approvals(db).waiting(desk.clock()))


async def recent(desk: Desk) -> Sequence[Approval]:
    """What was asked so far, newest first."""
    return await desk.records(lambda db: Approvals(db).recent())


async def numbered(desk: Desk, number: int) -> Approval:
    """One approval, whatever came of it. Raises 404 for one that is not there."""
    found = await desk.records(lambda db: Approvals(db).get(number))
    if found is None:
        raise HTTPException(404, f"there is no approval {number}")
    return found


async def decided(desk: Desk, number: int, answer: Answer, *, by: Visitor, words: str) -> Approval:
    """The approval with somebody's answer. Raises StateError for what does not wait (any more)."""
    return await desk.records(lambda db: Approvals(db).decide(number, answer, by=by.name, words=words, now=desk.clock()))
