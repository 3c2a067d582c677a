"""Systems are asked for pushes, and asked again before they forget."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.base import AuthError, ConfigError, ConnectorError, Rejected, Runtime
from connectors.push import Endpoint, Place, Subscription
from connectors.registry import looker, steps, subscriber, unsubscriber
from engine.hints import suggest
from engine.model import Problem
from flows import logs
from flows.configuration import Loaded, at, load
from flows.endpoints import Endpoints, endpoints, objects
from flows.finished import finished
from flows.settings import Settings
from state import Link, Outbox, Store
from state.database import Database
from state.hub import open_hub
from state.inbox import Inbox
from state.subscriptions import Subscribed, Subscriptions

RENEWED = timedelta(hours=36)  # what expires within this is renewed
_log = logs.get("push")
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking one system came to. `steps` is what a person has to do there, `error` why it could not be asked."""

    name: str
    system: str
    address: str
    steps: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    error: ConnectorError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and all(one.healthy for one in self.subscriptions)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The pushes of one configuration. `projects` are the projects people see, by tool, `finished` those of them that are; `db` is the hub's."""

    loaded: Loaded
    endpoints: Endpoints
    db: Database
    projects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    finished: Mapping[str, Sequence[str]] = field(default_factory=dict)
    runtime: Runtime = field(default_factory=Runtime)

    async def register(self, names: Sequence[str]) -> list[Asked]:
        """Ask systems for pushes, as far as they let themselves be asked, and expect to be told from now on."""
        found = []
        for name in names:
            found.append(await self._ask(name))
            Inbox(self.db).expect(name, self.runtime.clock())
        return found

    async def renew(self, names: Sequence[str] = ()) -> list[Asked]:
        """Ask again those that were asked before: what expires soon is renewed, what is new is subscribed to, what is broken is mended."""
        known = Inbox(self.db).feeds()
        return [await self._ask(name) for name in names or self.loaded.pushes if name in known and subscriber(self.system(name))]

    async def look(self, names: Sequence[str]) -> list[Asked]:
        """Ask what the systems hold for us now, and change nothing there."""
        known = Inbox(self.db).feeds()
        return [await self._ask(name, looking=True) for name in names if name in known and looker(self.system(name))]

    def system(self, name: str) -> str:
        """Whose webhooks it sends."""
        return self.loaded.pushed_by(name)

    def endpoint(self, name: str) -> Endpoint:
        return self.endpoints.endpoint(name, objects(self.loaded, name))

    def resources(self, name: str) -> list[str]:
        """What is to be told of: a CRM's objects that are read, the projects that people see in a tool."""
        read = objects(self.loaded, name) if name in self.loaded.configuration.rules.sources else ()
        shown = self.projects.get(name, ()) if name in self.loaded.targets else ()
        rest = set(self.resting(name))
        return [*read, *(project for project in shown if project not in rest)]

    def resting(self, name: str) -> Sequence[str]:
        """Finished projects of a tool that is not to tell of them any more."""
        return self.finished.get(name, ()) if unsubscriber(self.system(name)) else ()

    async def _ask(self, name: str, *, looking: bool = False) -> Asked:
        system, endpoint = self.system(name), self.endpoint(name)
        how = looker(system) if looking else subscriber(system)
        if how is None:
            return Asked(name, system, endpoint.url, steps=_filled(steps(system), endpoint))
        try:
            found = await self._subscribed(name, how)
            if not looking:
                await self._release(name)
        except ConnectorError as error:
            return Asked(name, system, endpoint.url, error=self._told(name, error))
        return Asked(name, system, endpoint.url, subscriptions=tuple(found))

    async def _subscribed(self, name: str, how: Any) -> Sequence[Subscription]:
        if name not in self.loaded.connections:
            raise ConfigError([Problem(f"no rule reads {name} or makes anything in it, so there is nothing to be told of")])
        now, resources = self.runtime.clock(), self.resources(name)
        asked = (self.loaded.connections[name], self.loaded.pushes[name], self._place(name), resources)
        found = await how(*asked, until=now + RENEWED, runtime=self.runtime) if resources else ()
        self._keep(name, [Subscribed(name, one.resource, one.id, "", one.expires_at, now, one.healthy, one.detail) for one in found])
        return found

    async def _release(self, name: str) -> None:
        """Have finished projects told of no more."""
        how, held = unsubscriber(self.system(name)), Subscriptions(self.db)
        known = {one.resource for one in held.all(name)}.intersection(self.resting(name))
        if how is not None and known:
            place, settings = self._place(name), self.loaded.pushes[name]
            held.forget(name, await how(self.loaded.connections[name], settings, place, sorted(known), runtime=self.runtime))

    def _keep(self, name: str, found: Sequence[Subscribed]) -> None:
        held = Subscriptions(self.db)
        held.save(found, self.runtime.clock())
        known = {one.resource for one in held.all(name)}
        held.forget(name, known - {one.resource for one in found} - set(self.resting(name)))

    def _told(self, name: str, error: ConnectorError) -> ConnectorError:
        """An error of one system, with its name and its place. One that does not go away by itself is kept, for whoever looks later."""
        if isinstance(error, ConfigError):
            error = ConfigError([at(self.loaded.configuration, name, problem) for problem in error.problems])
        error.system = name
        if isinstance(error, ConfigError | AuthError | Rejected):
            now = self.runtime.clock()
            Subscriptions(self.db).save([Subscribed(name, "", checked_at=now, healthy=False, detail=error.message)], now)
        return error

    def _place(self, name: str) -> Place:
        held, read = Subscriptions(self.db), objects(self.loaded, name)

        async def place(resource: str = "", *, awaited: bool = False) -> Endpoint:
            if awaited:
                held.await_handshake(name, resource, self.runtime.clock())
            known = held.get(name, resource)
            return self.endpoints.endpoint(name, read, resource=resource, sealed=known.sealed, awaited=awaited)

        return place


def _filled(text: str, endpoint: Endpoint) -> str:
    return text.replace("{url}", endpoint.url).replace("{token}", endpoint.token)


@contextmanager
def opened(where: Settings, loaded: Loaded, runtime: Runtime | None = None) -> Iterator[Webhooks]:
    """As configured, with the projects people see now. Raises ConfigError where the hub has no address that systems could push to."""
    world = runtime or Runtime()
    _check_address(where.hub_url)
    with closing(open_hub(where.state, now=world.clock())) as db:
        yield Webhooks(loaded, endpoints(where), db, *_visible(where, world.clock()), world)


async def keep_up(where: Settings, runtime: Runtime, every: timedelta = timedelta(hours=1)) -> None:
    """Renew now and every hour, for as long as it is let. What fails is logged, shown by `handoff webhooks status`, and tried again."""
    while True:
        try:
            loaded = load(where.folder, where.env)
            if where.hub_url and loaded.pushes:
                with opened(where, loaded, runtime) as ours:
                    _note(await ours.renew())
        except Exception as error:  # noqa: BLE001 - whatever it is, a week without renewing is worse
            _log.warning("pushes not renewed", extra={"error": type(error).__name__})
        await runtime.sleep(every.total_seconds())


def _note(found: Sequence[Asked]) -> None:
    for one in found:
        counts = {"subscriptions": len(one.subscriptions), "unhealthy": sum(not each.healthy for each in one.subscriptions)}
        _log.log(
            logging.INFO if one.ok else logging.WARNING,
            "pushes renewed" if one.error is None else "pushes not renewed",
            extra={"system": one.name, **counts, **({"error": type(one.error).__name__} if one.error is not None else {})},
        )


def _check_address(url: str) -> None:
    hint = "the address at which systems reach this hub, such as https://handoff.example.com; put it into the environment or .env"
    if not url:
        raise ConfigError([Problem("HANDOFF_HUB_URL is not set", hint=hint)])
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or parts.username or parts.scheme not in ("http", "https"):
        raise ConfigError([Problem(f"HANDOFF_HUB_URL is no address: {url}", hint=hint)])
    if parts.scheme != "https" and parts.hostname not in LOCAL:
        raise ConfigError([Problem(f"HANDOFF_HUB_URL is not encrypted: {url}", hint="whoever listens could push, too; use https")])


def _visible(where: Settings, now: datetime) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The projects people see, by tool, and those of them that are finished; none before there is a state."""
    if isinstance(where.state, Path) and not where.state.exists():
        return {}, {}
    with Store(where.state, now=now, read_only=True) as store:
        return _by_tool(Outbox(store).published()), _by_tool(finished(store, now))


def _by_tool(links: Iterable[Link]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for link in links:
        found.setdefault(link.target, []).append(link.remote_id)
    return found


def chosen(loaded: Loaded, names: Sequence[str]) -> list[str]:
    """The systems asked for, or all that push. Raises ConfigError for one that has no `push:` section."""
    if not loaded.pushes:
        raise ConfigError([Problem("no mapping has a `push:` section", hint="add `push: {}` to the mapping of a system that is to push")])
    unknown = [name for name in names if name not in loaded.pushes]
    if unknown:
        raise ConfigError([_unknown(loaded, name) for name in unknown])
    return list(names or loaded.pushes)


def _unknown(loaded: Loaded, name: str) -> Problem:
    if name in loaded.configuration.mappings:
        return Problem(f"mappings/{name}.yaml has no `push:` section", hint="add `push: {}`; docs/webhooks.md says what else it can hold")
    return Problem(f"there is no system {name}", hint=suggest(name, list(loaded.pushes)))
