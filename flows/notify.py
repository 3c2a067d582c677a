"""Tell people: decide the alerts of a run, then send what is due. Never fails a run, and never holds it up for more than some seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from connectors.base import Ambiguous, ConnectorError, RateLimited, Rejected, Runtime, UnsafePlan
from connectors.channels import Channel, Message, Open, cut, plain
from engine.config import AlertKind
from engine.language import escape_markdown
from flows import approving, logs, overdue
from flows.alerts import Alert, of_approval, of_failure, of_refusal, of_silence, of_silent_channels, of_waiting, raise_alerts
from flows.apply import first
from flows.configuration import Loaded
from flows.session import Session
from flows.waiting import waiting
from flows.webhooks import alarms, standings
from state import Link, Notices, Outbox, Store
from state.alerts import Alerts
from state.approvals import run_of
from state.notices import Due

FEW = 3  # so many go one by one; more become one message
_LISTED = 20
_LINE = 300  # bytes of each in a list
_NO_LATER = timedelta(seconds=4)  # after that no message is begun; one takes six seconds at most
_LOST = timedelta(minutes=5)
_GIVE_UP = timedelta(hours=24)
_log = logs.get("notify")


async def announce(
    session: Session, error: BaseException | None, *, digest: str, whole: Collection[str], sources: Sequence[str] = ()
) -> Counter[str]:
    """Decide what there is to tell of a run that read and decided, and send what is due; gives how many messages were told, are late, were given up.

    `error` is what ended the run, `digest` that of its plan; `whole` are the sources it looked at, none where it looked at some records only, and
    `sources` those it was asked for by name. What goes wrong here is logged and left to the next run.
    """
    try:
        overdue.note(session.store, whole, session.runtime.clock())
        if session.configuration.rules.alerts is not None:
            _decide(session, error, digest, whole, sources)
        return await deliver(session.store, session.loaded, session.runtime)
    except Exception as trouble:  # noqa: BLE001 - whatever it is, the work of the run is done
        _log.warning("nobody told", extra={"error": type(trouble).__name__})
        return Counter()


def _decide(session: Session, error: BaseException | None, digest: str, whole: Collection[str], sources: Sequence[str]) -> None:
    now, store = session.runtime.clock(), session.store
    failures = session.gave_out()
    alerts = [alert for name, failure in failures.items() for alert in of_failure(name, failure)]
    if error is not None and error not in failures.values():
        alerts += of_failure("run", error)
    about: set[AlertKind] = {"failed", "waiting", "given_up"}
    asks = isinstance(error, UnsafePlan) and error.approval > 0
    if not asks and (isinstance(error, UnsafePlan) or (whole and not alerts)):
        about.add("refused")  # a run that failed before, or looked at some records only, does not know
    if isinstance(error, UnsafePlan):
        alerts.append(of_refusal(digest, error.reasons, sources))
    if _is_wanted(session, "approval"):
        about.add("approval")
        alerts += map(of_approval, approving.waiting(store.where, now))
    if session.hub is not None:
        about.add("silence")
        alerts += map(of_silence, alarms(standings(session.loaded, session.hub), now))
    alerts += _parked(session)
    alerts += of_silent_channels(store, now)
    raise_alerts(store, session.loaded, (), now, about={"overdue"}, unsure=set(session.configuration.rules.sources) - set(whole))
    unsure = _unasked(session) | (set() if whole else session.sources.keys())
    if sources:
        unsure |= {one.subject for one in Alerts(store).standing(["refused"])} - {run_of(sources)}
    raise_alerts(store, session.loaded, alerts, now, about=about, unsure=unsure)


def _parked(session: Session) -> Iterator[Alert]:
    if _is_wanted(session, "waiting"):
        yield from map(of_waiting, waiting(session.store))


def _is_wanted(session: Session, kind: AlertKind) -> bool:
    spec = session.configuration.rules.alerts
    return spec is not None and kind in spec.on


def _unasked(session: Session) -> set[str]:
    """Systems this run did not ask anything, so that it does not know how they are."""
    calls = Counter({name: source.calls for name, source in session.sources.items()})
    calls.update({name: target.calls for name, target in session.targets.items()})
    calls.subtract(session.begun)
    return {name for name, count in calls.items() if not count}


# sending


async def deliver(store: Store, loaded: Loaded, runtime: Runtime) -> Counter[str]:
    """Send what is due, all channels at once: "told", "told later" and "given up", each counted in notices."""
    now, notices = runtime.clock(), Notices(store)
    notices.settle_lost(now - _LOST)
    names = notices.channels(now)
    if not names:
        return Counter()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_Delivery(store, name, loaded.channels.get(name), runtime)()) for name in names]
    except BaseExceptionGroup as several:
        raise first(several) from several
    total = sum((task.result() for task in tasks), Counter())
    _log.info("people told", extra={"channels": names, "counts": dict(total)})
    return total


class _Delivery:
    """What is due on one channel."""

    def __init__(self, store: Store, name: str, channel: Channel | None, runtime: Runtime) -> None:
        self._store, self._name, self._channel, self._runtime = store, name, channel, runtime
        self._notices = Notices(store)
        self._counts: Counter[str] = Counter()

    async def __call__(self) -> Counter[str]:
        begun = self._runtime.clock()
        due = self._notices.due(self._name, begun)
        if self._channel is None:
            self._put_off(due, "rules.yaml has no such channel any more", begun)
            return self._counts
        async with self._channel.open(self._name, self._runtime) as ready:
            for some in [[one] for one in due] if len(due) <= FEW else [due]:
                now = self._runtime.clock()
                full = self._notices.messages_since(self._name, now - timedelta(minutes=1)) >= ready.per_minute
                if full or now - begun > _NO_LATER or not await self._send(ready, some):
                    break
        return self._counts

    async def _send(self, channel: Open, some: Sequence[Due]) -> bool:
        """Whether the channel takes more."""
        mine = self._notices.leave(some, self._runtime.clock())
        if not mine:
            return True
        try:
            await channel.send(message(mine, Outbox(self._store)))
        except ConnectorError as error:
            return self._failed(mine, error)
        self._notices.sent(mine)
        self._counts["told"] += len(mine)
        return True

    def _failed(self, mine: Sequence[Due], error: ConnectorError) -> bool:
        now = self._runtime.clock()
        _log.warning("not told", extra={"channel": self._name, "error": type(error).__name__, "notices": len(mine)})
        match error:
            case Ambiguous():
                self._notices.sent(mine, note=str(error))
                self._counts["told"] += len(mine)
                return False
            case Rejected():
                self._give_up(mine, str(error), now)
                return True
            case RateLimited():
                self._notices.refused(mine, str(error), now + timedelta(seconds=error.retry_after), counts=False)
                self._counts["told later"] += len(mine)
                return False
        self._put_off(mine, str(error), now)
        return False

    def _put_off(self, mine: Sequence[Due], error: str, now: datetime) -> None:
        """Try again with growing pauses, for a day."""
        old = [one for one in mine if now - one.at >= _GIVE_UP]
        if old:
            self._give_up(old, error, now)
        rest = [one for one in mine if now - one.at < _GIVE_UP]
        pause = timedelta(minutes=min(60, 2 ** max((one.attempts for one in rest), default=0)))
        self._notices.refused(rest, error, now + pause, counts=True)
        self._counts["told later"] += len(rest)

    def _give_up(self, mine: Sequence[Due], error: str, now: datetime) -> None:
        self._notices.give_up(mine, error, now)
        self._counts["given up"] += len(mine)


# the words


def message(notices: Sequence[Due], outbox: Outbox) -> Message:
    """One notice as it was decided, or a list; each with its projects, as far as people can see those by now."""
    projects = _projects(outbox, {one.source for one in notices})
    items = [{"key": one.key, "source": one.source, "rule": one.rule, "text": one.text} for one in notices]
    if len(notices) == 1:
        links = _links(projects.get(notices[0].source, ()))
        return Message(f"{notices[0].text}\n\n{links}" if links else notices[0].text, items)
    lines = [_line(one, projects.get(one.source, ())) for one in notices[:_LISTED]]
    if len(notices) > _LISTED:
        lines.append(f"… and {len(notices) - _LISTED:,} more")
    return Message(f"**{len(notices):,} messages from Handoff**\n\n" + "\n".join(f"- {line}" for line in lines), items)


def _projects(outbox: Outbox, sources: Collection[str]) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = {}
    for link in outbox.projects_of(sorted(sources)):
        if link.url and link.published_at:
            found.setdefault(link.source, []).append(link)
    return found


def _links(projects: Iterable[Link]) -> str:
    named = [(str(link.item.fields.get("name") or link.item.key), link.url) for link in projects]
    return ", ".join(f"[{escape_markdown(name)}]({url.replace(')', '%29')})" for name, url in named)


def _line(one: Due, projects: Iterable[Link]) -> str:
    """The first line of a notice; one that is too long as plain text, because cutting Markdown may change what it says."""
    lead = one.text.strip().split("\n", 1)[0]
    if len(lead.encode()) > _LINE:
        lead = escape_markdown(cut(" ".join(plain(lead).split()), _LINE))
    links = _links(projects)
    return f"{lead} ({links})" if links else lead
