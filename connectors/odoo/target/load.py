"""Making records with their external ids, many in one transaction: an id that is there already gives its record, untouched.

https://www.odoo.com/documentation/19.0/developer/reference/backend/orm.html#odoo.models.Model.load
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Ambiguous, ConnectorError, Rejected, Runtime, Transient
from connectors.http import Effect
from connectors.odoo.errors import SYSTEM
from connectors.odoo.rpc import Rpc
from connectors.odoo.target.values import loaded

# `update` and `noupdate` together leave alone what is there; the rest keeps the server from writing a mail for each record.
# Names are translated: what is written in en_US is what every language shows that has no text of its own.
PLAIN = {"lang": "en_US"}
QUIET = {**PLAIN, "mail_create_nolog": True, "mail_create_nosubscribe": True, "mail_auto_subscribe_no_notify": True}
_CONTEXT = {**QUIET, "mode": "update", "noupdate": True, "tz": "UTC"}
_CLASHES = ("could not serialize", "deadlock detected", "current transaction is aborted", "could not obtain lock")
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to be there under an external id."""

    external: str
    values: Mapping[str, Any]


class Loader:
    def __init__(self, rpc: Rpc, runtime: Runtime) -> None:
        self._rpc = rpc
        self._runtime = runtime

    async def load(self, model: str, drafts: Sequence[Draft], *, effect: Effect = Effect.CREATE) -> list[int | ConnectorError]:
        """The records' ids, in order. A row that is refused is left out and the others are sent again, for nothing of a refused call is kept."""
        outcomes: dict[int, int | ConnectorError] = {}
        shapes: dict[tuple[str, ...], list[int]] = {}
        rows = [{"id": draft.external, **loaded(draft.values)} for draft in drafts]
        for at, row in enumerate(rows):
            shapes.setdefault(tuple(row), []).append(at)
        for columns, places in shapes.items():
            made = await self._same_columns(model, columns, [list(rows[at].values()) for at in places], effect)
            outcomes |= dict(zip(places, made, strict=True))
        return [outcomes[at] for at in range(len(drafts))]

    async def _same_columns(
        self, model: str, columns: Sequence[str], rows: Sequence[list[str]], effect: Effect
    ) -> list[int | ConnectorError]:
        outcomes: dict[int, int | ConnectorError] = {}
        clashes = 0
        while open_ := [at for at in range(len(rows)) if at not in outcomes]:
            try:
                told = await self._send(model, columns, [rows[at] for at in open_], effect)
            except ConnectorError as error:
                return [outcomes.get(at, error) for at in range(len(rows))]
            if told["ids"]:
                outcomes |= dict(zip(open_, told["ids"], strict=True))
                continue
            faults = [message for message in told["messages"] if message.get("type") == "error"]
            clashes += _clash(faults)
            if not _clash(faults):
                outcomes |= {open_[at]: refusal for at, refusal in _refused(faults, len(open_)).items()}
            elif clashes < _TRIES:
                await self._runtime.sleep(self._runtime.random.uniform(0.1, 0.5) * clashes)
            else:
                outcomes |= dict.fromkeys(open_, Transient(f"others go on writing the same records of {model}", system=SYSTEM))
        return [outcomes[at] for at in range(len(rows))]

    async def _send(self, model: str, columns: Sequence[str], rows: Sequence[list[str]], effect: Effect) -> Mapping[str, Any]:
        told = await self._rpc.call(model, "load", effect=effect, fields=list(columns), data=list(rows), context=_CONTEXT)
        whole = isinstance(told, Mapping) and "messages" in told and (not told.get("ids") or len(told["ids"]) == len(rows))
        if not whole:
            error = Ambiguous if effect is Effect.CREATE else Transient
            raise error(f"Odoo did not say what became of {len(rows)} records of {model}", system=SYSTEM)
        return dict(told)


def _clash(faults: Sequence[Mapping[str, Any]]) -> bool:
    """Whether somebody else wrote the same at the same time: nothing is kept, and it may be sent again."""
    return any(word in str(fault.get("message")) for fault in faults for word in _CLASHES)


def _refused(faults: Sequence[Mapping[str, Any]], rows: int) -> dict[int, Rejected]:
    """The rows that are refused; all of them when none is named."""
    named = {int(fault["record"]): _refusal(fault) for fault in reversed(faults) if fault.get("record", rows) < rows}
    return named or dict.fromkeys(range(rows), _refusal(faults[0] if faults else {}))


def _refusal(fault: Mapping[str, Any]) -> Rejected:
    words = " ".join(str(fault.get("message", "no explanation")).split())[:400]
    return Rejected(f"Odoo refused it: {words}", field=str(fault.get("field", "")), system=SYSTEM)
