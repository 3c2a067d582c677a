"""Finding what was deleted, which leaves no trace, and what was merged, which leaves two: the loser's messages are the winner's now, and a
note on a winning contact names the losers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from connectors.base import Rejected
from connectors.http import Effect
from connectors.odoo.errors import Denied
from connectors.odoo.reader import chunks
from connectors.odoo.rpc import Row, Rpc

IDS_PER_CALL = 20_000
ASKED_AT_ONCE = 100
MOST_CALLS = 200  # what is hidden from this user costs calls of its own; the rest is left to the next sweep


async def gone(rpc: Rpc, model: str, known: Collection[int]) -> dict[int, int | None]:
    """Of the known rows those that certainly do not exist any more, each with the row it was merged into, where that shows."""
    there = await _all(rpc, model)
    missing = sorted(set(known) - there)
    lost = await _lost(rpc, model, missing)
    winners = await _winners(rpc, model, lost) if lost else {}
    return {row: winners.get(row) for row in lost}


async def _all(rpc: Rpc, model: str) -> set[int]:
    found: set[int] = set()
    last = 0
    while True:
        ids = await rpc.call(model, "search", effect=Effect.READ, domain=[["id", ">", last]], order="id", limit=IDS_PER_CALL)
        found.update(ids)
        if len(ids) < IDS_PER_CALL:
            return found
        last = ids[-1]


async def _lost(rpc: Rpc, model: str, missing: Sequence[int]) -> list[int]:
    """Absence from a search proves nothing: a row may be hidden. Reading it by its id does: what exists is shown or refused."""
    waiting, lost = list(chunks(missing, ASKED_AT_ONCE)), list[int]()
    for _ in range(MOST_CALLS):
        if not waiting:
            break
        ids = waiting.pop(0)
        try:
            shown = {row["id"] for row in await rpc.call(model, "read", effect=Effect.READ, ids=ids, fields=["write_date"])}
        except Denied:
            waiting += chunks(ids, len(ids) // 2) if len(ids) > 1 else ()
        else:
            lost += [row for row in ids if row not in shown]
    return sorted(lost)


async def _winners(rpc: Rpc, model: str, lost: Sequence[int]) -> Mapping[int, int]:
    """A message's id names the record it was written on; a merge moves it to the winner, a deletion takes it along."""
    found: dict[int, int] = {}
    for chunk in chunks(lost, ASKED_AT_ONCE):
        traces = [["message_id", "=like", f"%-openerp-{row}-{model}@%"] for row in chunk]
        traces += [["body", "=like", f"%(ID {row})%"] for row in chunk if model == "res.partner"]
        domain = [["model", "=", model], *["|"] * (len(traces) - 1), *traces]
        try:
            rows = await rpc.search_read("mail.message", domain, ["message_id", "body", "res_id"])
        except Rejected:
            return found  # this user does not see messages: deleted is all that can be told
        for row in rows:
            found |= {loser: row["res_id"] for loser in _named(row, model) if loser in chunk}
    return {row: winner for row, winner in found.items() if winner and winner not in lost}


def _named(message: Row, model: str) -> list[int]:
    """The records of that model that a message tells of."""
    moved = re.findall(rf"-openerp-(\d+)-{re.escape(model)}@", message["message_id"] or "")
    noted = re.findall(r"\(ID (\d+)\)", message["body"] or "")
    return [int(row) for row in (*noted, *moved)]
