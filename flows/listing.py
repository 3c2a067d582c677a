"""Read a CRM's records again, all of them, and see what polling had missed.

The listing goes first and the ordinary increment follows: what that finds by itself had not been missed, it was only young. What is left differs
from what is known although the increment has passed it, and goes the ordinary way from there: change, plan, limits, T1. What is known and not
listed is read by its id: a CRM that says it was deleted is believed, one that merely does not show it is not.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from connectors.base import Page, Source
from engine.events import Change
from engine.limits import above_share
from engine.model import CrmKind
from flows.pull import ORDER, Pulled, Puller, revive
from flows.reconciled import NOTED, Crm, Kind, Mention, Report
from flows.session import Session
from flows.view import plain
from state import Note
from state.codec import stamp

_IDS = 200
_MISSED = "polling had not seen this change, reconciliation found it"
_HIDDEN = "the CRM does not show it any more, and does not say that it was deleted: nothing follows from that"
_BACK = "the CRM shows it again"


class Listing:
    """The `Around` of a reconciliation's pull. Fills `report`, and has what is to be remembered committed with what follows from it.

    Takes about `most_calls` of each CRM. A kind that is not through by then is gone on with the next time, the one listed longest ago first.
    """

    def __init__(self, report: Report, *, most_calls: int) -> None:
        self._report = report
        self._most = most_calls

    @asynccontextmanager
    async def __call__(self, session: Session, source: Source, part: Pulled) -> AsyncIterator[None]:
        self._report.crms.pop(source.system, None)
        before, crm = source.calls, Crm()
        kinds = _in_turn([_Kind(session, source, kind, part, crm) for kind in sorted(source.kinds, key=ORDER.index)])
        for kind in kinds:
            await kind.list(until=before + self._most)
        listed = dict(part.changes)
        crm.calls = source.calls - before
        yield
        for kind in kinds:
            kind.settle()
        missed = [change for name, change in listed.items() if part.changes.get(name) is change]
        crm.missed = [_mention(change) for change in missed]
        part.notes += [Note(change.source, ", ".join(change.events), "", "missed", _MISSED) for change in missed]
        part.counts.update({"missed": len(missed), "hidden": len(crm.hidden)})
        self._report.crms[source.system] = crm
        part.remembered[NOTED] = self._report.text()


def _in_turn(kinds: Iterable[_Kind]) -> list[_Kind]:
    """Those that may be listed, the one listed longest ago first."""
    return sorted((kind for kind in kinds if kind.puller.is_settled()), key=lambda kind: kind.position.done)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the listing of a kind stands: `cursor` of its last page and the ids `shown` so far, both empty when it is through; `done`: when last."""

    cursor: str = ""
    shown: Sequence[str] = ()
    done: str = ""

    @staticmethod
    def of(text: str | None) -> Position:
        return Position(**json.loads(text)) if text else Position()

    def text(self) -> str:
        return json.dumps({"cursor": self.cursor, "shown": list(self.shown), "done": self.done})


class _Kind:
    """One kind of one source. `hidden` are known ones that are not shown, `fresh` those of them nobody was told of, `back` what is shown again."""

    def __init__(self, session: Session, source: Source, kind: CrmKind, part: Pulled, crm: Crm) -> None:
        self._session, self._source, self._kind, self._part, self._crm = session, source, kind, part, crm
        name = f"{source.system}:{kind}"
        self._listing, self._remembered = f"listing:{name}", f"hidden:{name}"
        self.puller = Puller(session, source, kind, part)
        self.position = Position.of(session.store.meta(self._listing))
        self._shown, self._hidden, self._fresh, self._back = set(self.position.shown), set[str](), set[str](), set[str]()

    async def list(self, *, until: int) -> None:
        """Read on to the end, or until so many calls were made; then look for what is missing."""
        whole = await self._read(until)
        self._crm.kinds[self._kind] = Kind(len(self._shown), whole)
        await self._look_for(whole=whole)

    async def _read(self, until: int) -> bool:
        """Whether it is through."""
        cursor, whole, enough = self.position.cursor, False, False
        if self._source.calls < until and not self._session.stop.asked:
            async with aclosing(cast("AsyncGenerator[Page, None]", self._source.pull(self._kind, cursor or None))) as pages:
                async for page in pages:
                    await self.puller.take(page.records)
                    self._shown |= {record.id for record in page.records}
                    self._session.progress(f"listing {self._kind}s", len(page.records), page.total)
                    cursor = page.cursor
                    if enough or self._session.stop.asked:
                        break
                    enough = self._source.calls >= until  # one page more tells whether there is one, or it would never end
                else:
                    whole = True
        now, done = stamp(self._session.runtime.clock()), self.position.done
        self._part.remembered[self._listing] = (Position(done=now) if whole else Position(cursor, sorted(self._shown), done)).text()
        return whole

    async def _look_for(self, *, whole: bool) -> None:
        """What is known and not shown is told once, and once more when it is back. So many that the CRM must be at fault are only counted."""
        store, place = self._session.store, (self._source.system, self._kind)
        known, told = store.ids(*place), set(json.loads(store.meta(self._remembered) or "[]"))
        self._back, self._hidden = told & known & self._shown, (told & known) - self._shown
        missing = known - self._shown if whole else set[str]()
        if above_share(len(missing), len(known), self._session.configuration.rules.limits.deleted_share):
            fault = "that looks like a lost permission, and nothing follows from it"
            self._crm.notes.append(f"{len(missing):,} of {len(known):,} {self._kind}s are not shown: {fault}")
            return
        asked = sorted(missing - told)
        for start in range(0, len(asked), _IDS):
            chunk = asked[start : start + _IDS]
            self._fresh |= set(chunk) - await self.puller.read(chunk)
        self._hidden |= self._fresh

    def settle(self) -> None:
        """Name what is hidden or back, but for what the increment has met since."""
        place = (self._source.system, self._kind)
        met = self._part.snapshots.get(place, {}).keys()
        self._hidden, self._fresh = self._hidden - met, self._fresh - met
        self._crm.kinds[self._kind].hidden = len(self._hidden)
        self._crm.hidden += self._named(self._fresh, "hidden", _HIDDEN)
        self._crm.back += self._named(self._back, "back", _BACK)
        self._part.remembered[self._remembered] = json.dumps(sorted(self._hidden))

    def _named(self, ids: set[str], verdict: str, why: str) -> Iterable[Mention]:
        for id_, snapshot in sorted(self._session.store.snapshots(self._source.system, self._kind, ids).items()):
            source, value = f"{self._source.system}:{self._kind}:{id_}", revive(self._kind, snapshot.data)
            self._part.notes.append(Note(source, "", "", verdict, why))
            yield Mention(source, _title(value), value.url)


def _mention(change: Change) -> Mention:
    value = change.after or change.before
    url = change.record.url or getattr(value, "url", "")
    return Mention(change.source, _title(value), url, ", ".join(change.events) or "changed")


def _title(value: object) -> str:
    return plain(str(getattr(value, "name", "") or getattr(value, "subject", "") or ""))
