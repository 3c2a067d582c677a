"""The hub as one ASGI application: the inbox's door in front, everything else behind the guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as Refusal
from starlette.staticfiles import StaticFiles

from connectors.base import ConnectorError, Runtime
from connectors.registry import receiver
from engine.model import Hint
from flows.configuration import Loaded
from flows.endpoints import PREFIX, Endpoints, objects
from flows.overdue import schedules
from flows.settings import Settings
from flows.watch import watch
from hub import web
from hub.access import Access, People
from hub.api import api
from hub.body import Limits
from hub.buckets import Buckets
from hub.desk import Desk
from hub.doors import doors
from hub.guard import Guard
from hub.health import health
from hub.hooks import Hooks, Listening
from hub.ledger import Ledger
from hub.oidc import Provider, client
from hub.pages import pages
from hub.places import Place, Places
from hub.records import Records
from hub.sessions import Sessions
from hub.show import Show
from state.hub import open_hub
from state.inbox import Inbox
from state.subscriptions import Subscribed, Subscriptions


def create_app(
    where: Settings,
    loaded: Loaded,
    endpoints: Endpoints,
    *,
    systems: Mapping[str, Listening],
    runtime: Runtime | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    seconds: Callable[[], float] = time.monotonic,
    every: int = 0,
) -> web.App:
    """`systems` are those that are listened to, see `listening`. `hosts` are the names the hub goes by besides its public one and loopback;
    `seconds` counts them, from wherever. `every` is how many minutes syncs are apart where rules.yaml has no schedules, 0 for who knows.

    Raises ConfigError. Its database must be there, or able to be made; when it goes away later, what comes in is refused until it is back.
    """
    runtime = runtime or Runtime()
    clock = runtime.clock
    beats = schedules(loaded.configuration.rules, minutes=every)
    inbox, records = (Records(lambda: open_hub(where.state, now=clock())) for _ in range(2))
    ledger = Ledger(lambda arrived: inbox(lambda db: Inbox(db).store(arrived, clock())))
    sessions = Sessions(endpoints.derive("session"), clock)
    access = Access(records, sessions, People.listed(where.env), clock)
    attempts = Buckets(burst=10, per_second=0.1, clock=seconds)
    desk = Desk(where, loaded, clock, records, ledger, sessions, access, attempts)

    at_provider = client(where.env, endpoints.url)
    provider = Provider(at_provider, clock) if at_provider else None

    async def subscribed(place: Place) -> tuple[Subscribed, bool]:
        known = await records(lambda db: Subscriptions(db).get(place.name, place.resource))
        return known, known.awaits_handshake(clock())

    async def keep(place: Place, secret: str) -> bool:
        sealed = endpoints.seal(secret)
        return await inbox(lambda db: Subscriptions(db).keep_secret(place.name, place.resource, sealed, clock()))

    places = Places(endpoints, {name: one.objects for name, one in systems.items()}, subscribed, seconds)
    hooks = Hooks(systems, places, ledger, keep=keep, url=endpoints.url, clock=clock, seconds=seconds, limits=limits)
    behind = Guard(_pages(desk, provider), access, hosts=hosts, url=endpoints.url)

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        await inbox(lambda db: db.name)  # what is wrong with the database is known before anybody connects
        ledger.start()
        watching = asyncio.create_task(watch(where, loaded, beats, runtime))
        yield
        watching.cancel()
        await ledger.stop()
        await inbox.close()
        await records.close()

    async def app(scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        if scope["type"] == "lifespan":
            await _live(life, receive, send)
        elif scope["path"].startswith(f"{PREFIX}/"):
            await hooks(scope, receive, send)
        else:
            await behind(scope, receive, send)

    return app


def listening(loaded: Loaded) -> dict[str, Listening]:
    """Every system with a `push:` section. Of one that nobody reads, hints are no use to anybody."""
    sources, targets = set(loaded.configuration.rules.sources), set(loaded.targets)

    def wants(name: str) -> Callable[[Hint], bool]:
        return lambda hint: name in (targets if hint.kind == "tool" else sources)

    return {
        name: Listening(receiver(loaded.pushed_by(name)), settings, wants(name), objects(loaded, name))
        for name, settings in loaded.pushes.items()
    }


def _pages(desk: Desk, provider: Provider | None) -> FastAPI:
    show = Show(desk)
    behind = FastAPI(title="Handoff", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    behind.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    behind.include_router(doors(desk, show, provider))
    behind.include_router(pages(desk, show))
    behind.include_router(api(desk))
    behind.include_router(health(desk))

    def told(request: Request, status: int, words: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": words}, status)
        return show(request, "told", {"status": status, "words": words}, status=status)

    @behind.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return told(request, error.status_code, str(error.detail))

    @behind.exception_handler(RequestValidationError)
    async def unread(request: Request, error: RequestValidationError) -> Response:
        """What is wrong, without what was sent: not everything that can be sent can be sent back."""
        words = (f"{'.'.join(map(str, each['loc'][1:])) or each['loc'][0]}: {each['msg']}" for each in error.errors()[:5])
        return told(request, 422, "; ".join(words).encode("utf-8", "replace").decode())

    @behind.exception_handler(ConnectorError)
    async def failed(request: Request, error: ConnectorError) -> Response:
        return told(request, 503, str(error))

    return behind


async def _live(life: Callable[[], AbstractAsyncContextManager[None]], receive: web.Receive, send: web.Send) -> None:
    """What a server asks for when it starts and when it ends."""
    await receive()
    try:
        async with life():
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except ConnectorError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})
