"""What people are told of Handoff itself: once when something goes wrong, again when it becomes another thing or lasts, once when it is over."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.base import ConnectorError, LeaseLost, QuotaExhausted, RateLimited, Transient, UnsafePlan, kind_of
from engine.config import AlertKind, Alerts
from engine.language import escape_markdown
from engine.model import Notice
from flows.configuration import Loaded
from flows.overdue import Overdue
from flows.waiting import Waiting
from flows.webhooks import Alarm
from state import Notices, Store
from state import alerts as noted
from state.alerts import Standing
from state.approvals import Approval, run_of

PATIENCE = timedelta(minutes=30)
_DAY = timedelta(days=1)
_PASSING = (Transient, RateLimited, QuotaExhausted)
_ENDS: frozenset[AlertKind] = frozenset({"failed", "refused", "silence", "overdue"})  # that the others are over, a person has seen to


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong. `subject` is what with; `text` is Markdown.

    `mark` says whether it is still the same: a new one is told at once. `passing`: it may be over by itself; nobody is told for half an hour.
    """

    kind: AlertKind
    subject: str
    text: str
    mark: str = ""
    passing: bool = False

    @property
    def source(self) -> str:
        return _source(self.kind, self.subject)


def _source(kind: str, subject: str) -> str:
    return f"alert:{kind}:{subject}"


def raise_alerts(
    store: Store,
    loaded: Loaded,
    alerts: Sequence[Alert],
    now: datetime,
    *,
    about: Collection[AlertKind],
    unsure: Collection[str] = (),
) -> int:
    """Let people be told what there is to tell, in one transaction; gives how many messages that is. They are sent after the next run, or by
    `flows.notify.deliver`.

    `alerts` is everything that is wrong by now of the kinds it is `about`: what stood before and is not among them is over, but for subjects that
    could not be looked at (`unsure`).
    """
    spec = loaded.configuration.rules.alerts
    kinds = [kind for kind in about if spec is not None and kind in spec.on]
    if spec is None or not kinds:
        return 0
    teller = _Teller(store, spec, now)
    known = {_source(one.kind, one.subject): one for one in teller.alerts.standing(kinds)}
    present = {one.source: one for one in alerts if one.kind in kinds}
    over = [one for source, one in known.items() if source not in present and one.subject not in unsure]
    news = [(one, known.get(source)) for source, one in present.items() if teller.is_news(one, known.get(source))]
    if not over and not news:
        return 0
    with store.transaction():
        return sum(teller.tell(one, before) for one, before in news) + sum(teller.end(one) for one in over)


def has_news(store: Store, loaded: Loaded, alerts: Sequence[Alert], now: datetime) -> bool:
    """Whether one of them is to be told by now."""
    spec = loaded.configuration.rules.alerts
    if spec is None:
        return False
    teller = _Teller(store, spec, now)
    known = {_source(one.kind, one.subject): one for one in teller.alerts.standing({one.kind for one in alerts})}
    return any(one.kind in spec.on and teller.is_news(one, known.get(one.source)) for one in alerts)


class _Teller:
    def __init__(self, store: Store, spec: Alerts, now: datetime) -> None:
        self.alerts = noted.Alerts(store)
        self._notices = Notices(store)
        self._spec, self._now = spec, now

    def is_news(self, alert: Alert, before: Standing | None) -> bool:
        repeat = timedelta(hours=self._spec.repeat_after_hours)
        return before is None or before.mark != alert.mark or self._now - before.told_at >= repeat

    def tell(self, alert: Alert, before: Standing | None) -> int:
        since = before.since if before else self._now
        self._notices.withdraw(alert.source)
        self.alerts.save(Standing(alert.kind, alert.subject, alert.mark, alert.text, since, self._now))
        lasts = before is not None and before.mark == alert.mark
        text = f"{alert.text}\n\nIt has been so since {since:%Y-%m-%d %H:%M} UTC." if lasts else alert.text
        due_at = max(self._now, since + PATIENCE) if alert.passing else self._now
        return self._decide(alert.kind, alert.subject, text, [name for name in self._spec.to if name != _mute(alert)], due_at)

    def end(self, one: Standing) -> int:
        """It is over. Who never heard of it does not hear of that either."""
        self.alerts.drop(one)
        unaware = self._notices.withdraw(_source(one.kind, one.subject))
        if one.kind not in _ENDS:
            return 0
        lead = one.text.split("\n", 1)[0]
        told = f"Over, after {_span(self._now - one.since)}: {lead}"
        return self._decide(one.kind, one.subject, told, [name for name in self._spec.to if name not in unaware], self._now)

    def _decide(self, kind: str, subject: str, text: str, channels: Sequence[str], due_at: datetime) -> int:
        source = _source(kind, subject)
        mark = f"{self._now:%Y%m%dT%H%M%S.%f}"
        notices = [Notice(f"{source}#{mark}@{channel}", channel, source, kind, "", "", text) for channel in channels]
        self._notices.decide(notices, self._now, due_at=due_at)
        return len(notices)


def _mute(alert: Alert) -> str:
    """The channel that cannot be told of itself."""
    return alert.subject if alert.kind == "given_up" else ""


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} hours" if minutes < 2880 else f"{minutes // 1440} days"


# what there is to tell


def of_failure(name: str, error: BaseException) -> Iterator[Alert]:
    """A system that gave out, or (`run`) why a run ended."""
    if isinstance(error, LeaseLost | UnsafePlan):
        return
    told = str(error) if isinstance(error, ConnectorError) else "an error nobody foresaw; its log says more"
    text = f"**{escape_markdown(name)}** failed: {escape_markdown(_short(told))}"
    passing = isinstance(error, _PASSING)  # whichever of these: a system that is down says now this and now that
    yield Alert("failed", name, text, "passing" if passing else kind_of(error), passing=passing)


def of_refusal(digest: str, reasons: Sequence[str], sources: Sequence[str] = ()) -> Alert:
    """Of a run that reads only some `sources`, where there are any: each has a plan of its own."""
    told = "\n".join(f"- {escape_markdown(reason)}" for reason in reasons)
    ways = f"`handoff plan` shows it; `handoff sync --approve {digest}` carries out exactly that."
    return Alert(
        "refused", run_of(sources), f"**A plan was refused**, nothing of it was done:\n\n{told}\n\n{ways}", _without_numbers(reasons)
    )


def of_waiting(one: Waiting) -> Alert:
    link = f"\n\n{one.project_url or one.url}" if one.project_url or one.url else ""
    text = f"**Waits for a person:** {escape_markdown(one.what)}: {escape_markdown(_short(one.why))}\n\n`handoff status` says what can be done.{link}"
    return Alert("waiting", one.ref, text, one.kind)


def of_approval(one: Approval) -> Alert:
    why = "; ".join(escape_markdown(_short(reason)) for reason in one.why)
    text = f"**Waits for approval:** {escape_markdown(one.title)}{f': {why}' if why else ''}\n\n`handoff approvals` shows it. Number {one.number}."
    return Alert("approval", str(one.number), f"{text}\n\nIt expires on {one.expires_at:%Y-%m-%d %H:%M} UTC.", one.digest)


def of_silence(alarm: Alarm) -> Alert:
    text = f"**{escape_markdown(alarm.name)}**: {escape_markdown(_short(alarm.told))}"
    return Alert("silence", f"{alarm.name} {alarm.kind}", text, alarm.kind)


def of_overdue(one: Overdue) -> Alert:
    since = f"since {one.last:%Y-%m-%d %H:%M} UTC" if one.last else "yet"
    told = f"**No sync of {escape_markdown(one.name)}** {since}; one was expected {one.expected}, by {one.due:%Y-%m-%d %H:%M} UTC at the latest."
    ask = "Does `handoff serve`, or a worker, run, and is the deployment not paused in the Prefect UI?"
    return Alert("overdue", one.name, f"{told}\n\n{ask}")


def of_silent_channels(store: Store, now: datetime) -> Iterator[Alert]:
    for one in Notices(store).traffic(since=now - _DAY):
        if one.given_up:
            text = f"**Channel {escape_markdown(one.channel)}** was not told {one.given_up} messages: {escape_markdown(_short(one.error))}"
            yield Alert("given_up", one.channel, f"{text}\n\n`handoff retry` tries them again, once the cause is mended.")


def _short(text: str) -> str:
    """The first line of an error, within reason."""
    return text.strip().split("\n", 1)[0][:300]


def _without_numbers(reasons: Sequence[str]) -> str:
    return "; ".join(re.sub(r"\d[\d,.%]*", "#", reason) for reason in reasons)
