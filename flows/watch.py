"""While a process lives: look every minute whether syncs take place, and tell people of those that do not, for no run is there to do it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from connectors.base import Runtime, StateHeld
from engine.schedule import Schedule
from flows import logs
from flows.alerts import Alert, has_news, of_overdue, raise_alerts
from flows.configuration import Loaded
from flows.notify import deliver
from flows.overdue import overdue
from flows.settings import Settings
from state import Notices, Store
from state.leases import READER, held_elsewhere

_EVERY = timedelta(minutes=1)
_SLEPT = timedelta(minutes=5)  # a machine that was asleep, or a clock that was set: whoever starts the runs gets its time as after a start
_log = logs.get("watch")


async def watch(where: Settings, loaded: Loaded, beats: Sequence[Schedule], runtime: Runtime) -> None:
    """For as long as it is let, in a thread beside the loop it is called in. What fails is logged and tried again."""
    since = looked = runtime.clock()
    while beats and loaded.configuration.rules.alerts is not None:
        now = runtime.clock()
        since, looked = now if abs(now - looked) > _SLEPT else since, now
        try:
            await asyncio.to_thread(_look, where, loaded, beats, since, runtime)
        except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on
            _log.warning("syncs not watched", extra={"error": type(error).__name__})
        await runtime.sleep(_EVERY.total_seconds())


def _look(where: Settings, loaded: Loaded, beats: Sequence[Schedule], since: datetime, runtime: Runtime) -> None:
    asyncio.run(look(where, loaded, beats, since, runtime))


async def look(where: Settings, loaded: Loaded, beats: Sequence[Schedule], since: datetime, runtime: Runtime) -> int:
    """Tell of syncs that are overdue, once, and send what is due meanwhile; gives how many messages were decided. The next sync says that it is over.

    While a run is under way nothing is overdue, and nothing is told.
    """
    now = runtime.clock()
    if not _is_worth_it(where, loaded, beats, since, now):
        return 0
    try:
        with Store(where.state, now=now, existing=True) as store:
            if held_elsewhere(store, [READER], now):
                return 0
            alerts = _alerts(store, loaded, beats, since, now)
            told = raise_alerts(store, loaded, alerts, now, about={"overdue"}, unsure=loaded.configuration.rules.sources)
            await deliver(store, loaded, runtime)
            return told
    except StateHeld:
        return 0


def _is_worth_it(where: Settings, loaded: Loaded, beats: Sequence[Schedule], since: datetime, now: datetime) -> bool:
    """Whether there is something to say, or to send: looking does not keep a run from its state."""
    if isinstance(where.state, Path) and not where.state.exists():
        return False
    with Store(where.state, now=now, read_only=True) as store:
        alerts = _alerts(store, loaded, beats, since, now)
        return bool(alerts) and (has_news(store, loaded, alerts, now) or bool(Notices(store).channels(now)))


def _alerts(store: Store, loaded: Loaded, beats: Sequence[Schedule], since: datetime, now: datetime) -> list[Alert]:
    return [of_overdue(one) for one in overdue(store, loaded.configuration.rules, beats, since, now)]
