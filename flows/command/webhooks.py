"""`webhooks`: have systems push, keep that up, see whether it comes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from connectors.base import ConnectorError, utc_now
from flows import show
from flows.command.common import Exit, Folder, Json, Screen, StateFile, advice, exit_of, failure, loaded, run, where
from flows.endpoints import PREFIX
from flows.subscribing import Asked, Webhooks, chosen, opened
from flows.view import plain
from flows.webhooks import Alarm, Standing, alarms, standings
from state.inbox import Inbox
from state.subscriptions import Subscribed

webhooks = typer.Typer(no_args_is_help=True, help="Have systems tell of changes by themselves, keep that up, and see whether they do.")
Systems = Annotated[list[str] | None, typer.Argument(metavar="SYSTEM", help="Names of mappings. Default: all with a `push:` section.")]

Ask = Callable[[Webhooks, Sequence[str]], Coroutine[Any, Any, Sequence[Asked]]]


@webhooks.command()
def register(systems: Systems = None, folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Ask systems to push to this hub, or say what to do by hand. The hub must be running: some call it at once. Can be repeated."""
    _ask(Webhooks.register, systems, folder, state, as_json)


@webhooks.command()
def renew(systems: Systems = None, folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Renew what expires within 36 hours, subscribe to new projects, mend what is broken. `handoff serve` does so every hour."""
    _ask(Webhooks.renew, systems, folder, state, as_json)


def _ask(how: Ask, systems: Systems, folder: Folder, state: StateFile, as_json: Json) -> None:
    with advice(as_json):
        there = where(folder, state)
        ready = loaded(there)
        with opened(there, ready) as ours:
            _end(run(how(ours, chosen(ready, systems or ()))), as_json)


@webhooks.command()
def status(
    systems: Systems = None,
    folder: Folder = None,
    state: StateFile = None,
    check: Annotated[bool, typer.Option("--check", help="Ask the systems what they hold for us, first.")] = False,
    reveal: Annotated[bool, typer.Option("--show", help="Show the addresses whole: whoever knows them can push to some of them.")] = False,
    as_json: Json = False,
) -> None:
    """Say how pushes stand: what is subscribed to, what came, what polling found that no push had told. Exit code 1 when something is wrong."""
    with advice(as_json):
        there = where(folder, state)
        ready = loaded(there)
        with opened(there, ready) as ours:
            names = chosen(ready, systems or ())
            failed = [asked.error for asked in run(_looked(ours, names, check)) if asked.error is not None]
            stand = [one for one in standings(ready, ours.db) if one.name in names]
            wrong = alarms(stand, utc_now())
            addresses = {name: ours.endpoint(name).url if reveal else masked(ours.endpoint(name).url) for name in names}
            resting = {name: len(ours.resting(name)) for name in names}
            strays = sum(count for (name, _), count in Inbox(ours.db).refusals().items() if not name)
        seen = Seen(stand, wrong, addresses, resting, strays)
        Screen(as_json).show(_status(seen), _status_data(seen))
        if wrong or failed:
            raise typer.Exit(exit_of(failed[0]) if failed else Exit.ATTENTION)


def _looked(ours: Webhooks, names: Sequence[str], check: bool) -> Coroutine[Any, Any, list[Asked]]:
    return ours.look(names if check else ())


def masked(url: str) -> str:
    """An address without its unguessable part."""
    head, _, tail = url.partition(f"{PREFIX}/")
    name, _, secret = tail.partition("/")
    return f"{head}{PREFIX}/{name}/{secret[:3]}…"


def _end(found: Sequence[Asked], as_json: bool) -> None:
    Screen(as_json).show(
        Group(*(_asked(one) for one in found)) if found else Text("Nothing was asked for before."), [_asked_data(one) for one in found]
    )
    errors = [one.error for one in found if one.error is not None]
    if errors:
        raise typer.Exit(exit_of(errors[0]))
    if not all(one.ok for one in found):
        raise typer.Exit(Exit.ATTENTION)


def _asked(one: Asked) -> RenderableType:
    if one.error is not None:
        return Text.assemble((f"{one.name}: ", "bold"), (str(one.error), "red"))
    if one.steps:
        return Text.assemble((f"{one.name}: by hand\n", "bold"), one.steps)
    if not one.subscriptions:
        return Text.assemble((f"{one.name}: ", "bold"), "nothing to be told of yet; `handoff webhooks renew` subscribes when there is")
    bad = [each for each in one.subscriptions if not each.healthy]
    good = len(one.subscriptions) - len(bad)
    ends = [each.expires_at for each in one.subscriptions if each.expires_at is not None]
    until = f", until {min(ends):%Y-%m-%d %H:%M} UTC" if ends else ""
    lines = [Text.assemble((f"{one.name}: ", "bold"), f"told of {good:,} of {len(one.subscriptions):,}{until}, at {masked(one.address)}")]
    lines += [Text(f"  {plain(each.resource)}: {plain(each.detail)}", style="red") for each in bad[:10]]
    lines += [Text(f"  … and {len(bad) - 10:,} more")] if len(bad) > 10 else []
    return Group(*lines)


def _asked_data(one: Asked) -> Mapping[str, Any]:
    """For scripts. The address is whole where somebody has to enter it."""
    held = [
        {"resource": s.resource, "id": s.id, "expires_at": s.expires_at, "healthy": s.healthy, "detail": s.detail}
        for s in one.subscriptions
    ]
    told = {"name": one.name, "system": one.system, "address": one.address if one.steps else masked(one.address)}
    return {**told, "by_hand": one.steps, "subscriptions": held, "error": _error(one.error)}


def _error(error: ConnectorError | None) -> Mapping[str, Any] | None:
    return failure(error, exit_of(error), str(error)) if error is not None else None


@dataclass(frozen=True, slots=True)
class Seen:
    """How it stands. `resting` are how many finished projects need no push, `strays` what came to no address."""

    stand: Sequence[Standing]
    wrong: Sequence[Alarm]
    addresses: Mapping[str, str]
    resting: Mapping[str, int]
    strays: int


def _status(seen: Seen) -> RenderableType:
    parts: list[RenderableType] = []
    now = utc_now()
    for one in seen.stand:
        lines = [seen.addresses[one.name], _held(one.subscriptions, now), _rest(seen.resting[one.name]), *_came(one, now)]
        parts += [
            show.entries(
                f"{one.name}{f' ({one.system})' if one.system != one.name else ''}", [(Text(line), ()) for line in lines if line], empty=""
            )
        ]
    parts += [Text(f"{show.counted(seen.strays, 'delivery')} went to no address of this hub.", style="dim")] if seen.strays else []
    told = [Text(f"! {alarm}", style="yellow") for alarm in seen.wrong] or [Text("Nothing is wrong.", style="green")]
    return Group(*parts, Text(), *told)


def _held(held: Sequence[Subscribed], now: datetime) -> str:
    if not held:
        return ""
    ends = [one.expires_at for one in held if one.expires_at is not None]
    checked = [one.checked_at for one in held if one.checked_at is not None]
    parts = [f"{sum(one.healthy for one in held):,} of {show.counted(len(held), 'subscription')} healthy"]
    parts += [f"until {min(ends):%Y-%m-%d %H:%M} UTC"] if ends else []
    parts += [f"looked at {_ago(min(checked), now)}"] if checked else []
    return ", ".join(parts)


def _rest(count: int) -> str:
    return f"{show.counted(count, 'finished project')} without; polling notices if one is taken up again" if count else ""


def _came(one: Standing, now: datetime) -> list[str]:
    feed = one.feed
    if feed is None:
        return ["not asked to push yet"]
    last = f"the last {_ago(feed.last_at, now)}" if feed.last_at else "none yet"
    refused = ", ".join(f"{count:,} {reason}" for reason, count in feed.refused.items())
    return [
        f"{feed.deliveries:,} deliveries, {last}; {feed.events:,} events, {feed.hints:,} hints"
        + (f"; refused: {refused}" if refused else ""),
        f"polling found {show.counted(feed.missed, 'change')} that no push had told"
        + (f", {_ago(feed.missed_at, now)}" if feed.missed_at else ""),
        f"{show.counted(one.waiting, 'hint')} wait, the eldest since {_ago(one.waiting_since, now)}" if one.waiting_since else "",
    ]


def _ago(at: datetime, now: datetime) -> str:
    minutes = int((now - at).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago" if minutes < 2880 else f"{minutes // 1440} days ago"


def _status_data(seen: Seen) -> Mapping[str, Any]:
    systems = [
        {**_standing_data(one), "address": seen.addresses[one.name], "finished_projects": seen.resting[one.name]} for one in seen.stand
    ]
    told = [{"name": alarm.name, "kind": alarm.kind, "told": alarm.told} for alarm in seen.wrong]
    return {"systems": systems, "alarms": told, "to_no_address": seen.strays}


def _standing_data(one: Standing) -> Mapping[str, Any]:
    feed, came = one.feed, dict[str, Any]()
    if feed is not None:
        came = {name: getattr(feed, name) for name in ("since", "deliveries", "events", "hints", "missed", "missed_at")}
        came |= {"last_delivery": feed.last_at, "refused": dict(feed.refused)}
    fields = ("resource", "id", "expires_at", "checked_at", "healthy", "detail")
    held = [{name: getattr(each, name) for name in fields} for each in one.subscriptions]
    waits = {"waiting": one.waiting, "waiting_since": one.waiting_since}
    return {"name": one.name, "system": one.system, "asked": feed is not None, "subscriptions": held, **came, **waits}
