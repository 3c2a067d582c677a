"""Reconciliation, without Prefect: everything that polling and push could have missed is found, and what people changed in the tools is told.

A sync with two additions: before the increment every CRM is listed from the beginning (`flows/listing.py`), and at the end the projects in the tools
are compared with what was last written (`flows/drift.py`). Nothing is deleted or overwritten by it; what it finds goes the way any change goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flows.drift import look
from flows.listing import Listing
from flows.pipeline import Options, Summary, gather, run_sync, settle
from flows.planning import excess
from flows.reconciled import NOTED, Report
from flows.session import Session
from state.approvals import Approvals
from state.codec import stamp
from state.database import Database
from state.inbox import Inbox

MOST_CALLS = 2000


@dataclass(frozen=True, slots=True)
class Found:
    """What a reconciliation came to: its report, and the run it was part of. `over_limits`: why a plan that was only looked at would be refused."""

    report: Report
    summary: Summary
    over_limits: tuple[str, ...] = ()


class Reconciliation:
    """One of them, in stages that may be run by whoever schedules them. `most_calls` is how many each system may be asked."""

    def __init__(self, session: Session, hub: Database, *, most_calls: int = MOST_CALLS) -> None:
        self._session = session
        self._hub = hub
        self._most = most_calls
        self.report = Report(session.run, stamp(session.runtime.clock()))

    def options(self, options: Options) -> Options:
        """Those of a sync, with the listing around its pull."""
        return replace(options, kind="reconcile", around=Listing(self.report, most_calls=self._most))

    async def finish(self, session: Session, summary: Summary) -> None:
        """The stages after a sync's: look into the tools, settle what is stale, keep the report. Not for somebody who only helped."""
        if summary.helps:
            return
        await look(session, self.report, most_calls=self._most)
        if session.failures and summary.error is None:
            settle(session, summary)
        maintain(session, self._hub)
        self.keep(summary)

    def keep(self, summary: Summary) -> None:
        self.report.at, self.report.result = stamp(self._session.runtime.clock()), summary.result
        self.report.told = summary.told
        with self._session.store.transaction():
            self._session.store.save_meta(NOTED, self.report.text())


async def run_reconcile(session: Session, hub: Database, options: Options, *, most_calls: int = MOST_CALLS) -> Found:
    """One whole reconciliation."""
    reconciliation = Reconciliation(session, hub, most_calls=most_calls)
    summary = await run_sync(session, reconciliation.options(options), reconciliation.finish)
    reconciliation.report.result, reconciliation.report.told = summary.result, summary.told
    return Found(reconciliation.report, summary)


async def preview(session: Session, hub: Database, options: Options, *, most_calls: int = MOST_CALLS) -> Found:
    """What a reconciliation would find and do. Changes nothing but a first baseline."""
    reconciliation = Reconciliation(session, hub, most_calls=most_calls)
    try:
        pulled, planned = await gather(session, reconciliation.options(options))
    finally:
        session.reader.end()
    await look(session, reconciliation.report, most_calls=most_calls, saves=False)
    summary = Summary(session.run, plan=planned, baselined=pulled.baselined, counts=pulled.counts, failures=session.gave_out())
    return Found(reconciliation.report, summary, tuple(excess(session, planned)))


def maintain(session: Session, hub: Database) -> None:
    """What else a night is good for. Each step by itself, harmless to repeat."""
    Approvals(hub).expire(session.runtime.clock())
    inbox = Inbox(hub)
    inbox.forget(sorted(inbox.waiting().keys() - session.sources.keys() - session.targets.keys()))
