"""The stand-in of Zoho CRM's REST API: who may come in, what it costs, and which resource answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from sandbox.sender import Letter, Sender
from sandbox.web import Failure, Reply, Request
from sandbox.zoho import blueprint, bulk, coql, layouts, people, records, related, search, settings, timeline, watch, writes
from sandbox.zoho.calls import Call, Handler, Pages
from sandbox.zoho.errors import Refused, invalid_token, no_token, no_url, scope_mismatch, too_many, wrong_method
from sandbox.zoho.limits import Limits
from sandbox.zoho.oauth import OAuth, allows
from sandbox.zoho.world import Clock, Event, World

VERSIONS = (2.0, 2.1, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
_MODULE = r"/(?P<module>[A-Za-z]\w*)"
_RECORD = rf"{_MODULE}/(?P<id>\d+)"
_LINKED = rf"{_RECORD}/(?P<list>[A-Za-z]\w*)/(?P<other>\d+)"


@dataclass(frozen=True, slots=True)
class Route:
    """`name` is what calls are counted under; `scope` what a token needs, `{module}` standing for the module asked for."""

    method: str
    path: re.Pattern[str]
    name: str
    scope: str
    handler: Handler
    cost: int = 1
    heavy: bool = False


def _route(method: str, path: str, name: str, scope: str, handler: Handler, *, cost: int = 1, heavy: bool = False) -> Route:
    return Route(method, re.compile(path, re.ASCII), name, f"ZohoCRM.{scope}", handler, cost, heavy)


ROUTES: tuple[Route, ...] = (
    _route("GET", r"/settings/modules", "settings", "settings.modules.READ", settings.modules),
    _route("GET", r"/settings/modules/(?P<name>\w+)", "settings", "settings.modules.READ", settings.one_module),
    _route("GET", r"/settings/fields", "settings", "settings.fields.READ", settings.fields),
    _route("GET", r"/settings/fields/(?P<id>\d+)", "settings", "settings.fields.READ", settings.one_field),
    _route("GET", r"/settings/layouts", "settings", "settings.layouts.READ", layouts.read),
    _route("GET", r"/settings/pipeline", "settings", "settings.pipeline.READ", settings.pipelines),
    _route("GET", r"/settings/related_lists", "settings", "settings.related_lists.READ", settings.related_lists),
    _route("GET", r"/users", "users", "users.READ", people.users),
    _route("GET", r"/users/(?P<id>\d+)", "users", "users.READ", people.one_user),
    _route("GET", r"/org", "org", "org.READ", people.org),
    _route("POST", r"/coql", "coql", "coql.READ", coql.query, heavy=True),
    _route("POST", r"/actions/watch", "watch", "notifications.CREATE", watch.enable),
    _route("PUT", r"/actions/watch", "watch", "notifications.UPDATE", watch.replace_all),
    _route("PATCH", r"/actions/watch", "watch", "notifications.UPDATE", watch.change),
    _route("GET", r"/actions/watch", "watch", "notifications.READ", watch.listed),
    _route("DELETE", r"/actions/watch", "watch", "notifications.DELETE", watch.disable),
    _route("GET", r"/[Cc]ontacts/roles", "roles", "modules.contacts.READ", related.roles),
    _route("GET", rf"{_MODULE}/search", "search", "modules.{module}.READ", search.search),
    _route("GET", rf"{_MODULE}/deleted", "deleted", "modules.{module}.READ", records.deleted, cost=2),
    _route("GET", rf"{_MODULE}/actions/count", "count", "modules.{module}.READ", records.counted),
    _route("POST", rf"{_MODULE}/upsert", "upsert", "modules.{module}.UPDATE", writes.upsert),
    _route("GET", _MODULE, "list", "modules.{module}.READ", records.listed),
    _route("POST", _MODULE, "insert", "modules.{module}.CREATE", writes.insert),
    _route("PUT", _MODULE, "update", "modules.{module}.UPDATE", writes.update),
    _route("DELETE", _MODULE, "delete", "modules.{module}.DELETE", writes.delete),
    _route("GET", _RECORD, "get", "modules.{module}.READ", records.single),
    _route("PUT", _RECORD, "update", "modules.{module}.UPDATE", writes.update_one),
    _route("DELETE", _RECORD, "delete", "modules.{module}.DELETE", writes.delete_one),
    _route("GET", rf"{_RECORD}/actions/blueprint", "blueprint", "modules.{module}.READ", blueprint.read),
    _route("PUT", rf"{_RECORD}/actions/blueprint", "blueprint", "modules.{module}.UPDATE", blueprint.move),
    _route("GET", rf"{_RECORD}/__timeline", "timeline", "modules.{module}.READ", timeline.read),
    _route("POST", rf"{_RECORD}/Notes", "notes", "modules.notes.CREATE", related.add_notes),
    _route("GET", rf"{_RECORD}/(?P<list>[A-Za-z]\w*)", "related", "modules.{module}.READ", related.listed),
    _route("PUT", rf"{_RECORD}/(?P<list>[A-Za-z]\w*)", "related", "modules.{module}.UPDATE", related.link),
    _route("GET", _LINKED, "related", "modules.{module}.READ", related.one),
    _route("PUT", _LINKED, "related", "modules.{module}.UPDATE", related.link_one),
    _route("DELETE", _LINKED, "related", "modules.{module}.DELETE", related.unlink_one),
    _route("DELETE", rf"{_RECORD}/(?P<list>[A-Za-z]\w*)", "related", "modules.{module}.DELETE", related.unlink),
)

BULK: tuple[Route, ...] = (
    _route("POST", r"/read", "bulk", "bulk.READ", bulk.create, cost=50),
    _route("GET", r"/read/(?P<id>\d+)", "bulk", "bulk.READ", bulk.status),
    _route("GET", r"/read/(?P<id>\d+)/result", "bulk", "bulk.READ", bulk.result),
)


class Zoho:
    """One organisation behind its accounts server and its API. `world` is where tests and demos change things; `oauth`, `limits`, `pages`,
    `bulk` and `watch` are settings of the API. `sender` sends what there is to send, each once: Zoho documents no second attempt.

    `search_lag` is how long a new record is not found by a search. `calls` counts requests by name: token, settings, users, org, list,
    get, deleted, insert, update, upsert, delete, count and so on.
    `api_domain`, when set, is what the accounts server tells instead of the host it was asked at.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        time_zone: str = "Asia/Kolkata",
        edition: str = "enterprise",
        credits: int = 0,
        api_domain: str = "",
        pipelines: bool = True,
    ) -> None:
        self.world = World(clock, time_zone=time_zone, edition=edition, pipelines=pipelines)
        self.oauth = OAuth(clock, api_domain=api_domain)
        self.limits = Limits(clock, edition, credits=credits)
        self.pages = Pages()
        self.bulk = bulk.Bulk()
        self.watch = watch.Watch(self.world)
        self.sender = Sender(clock, lambda: [_letter(each) for each in self.sent()])
        self.world.listeners.append(self._hear)
        self.search_lag = timedelta(seconds=30)
        self.calls: Counter[str] = Counter()
        self._failures: list[Failure] = []

    def fail(self, name: str, code: str, message: str = "", *, status: int = 400, times: int = 1, skip: int = 0) -> None:
        """Lets `skip` calls of a name pass, then refuses `times` of them in Zoho's own words, with nothing done."""
        self._failures.append(Failure(name, Refused(code, message or code, status), times, skip))

    def spend(self, cost: int) -> None:
        self.limits.spend(cost)

    def admit(self, request: Request) -> Reply | None:
        """Refuses what is one call in flight too many. The accounts server does not count them."""
        if request.path.startswith("/oauth/") or self.limits.start(heavy=_is_heavy(request)):
            return None
        return too_many("You have made too many requests. Please try again later").reply()

    def release(self, request: Request) -> None:
        if not request.path.startswith("/oauth/"):
            self.limits.end(heavy=_is_heavy(request))

    def handle(self, request: Request) -> Reply:
        try:
            if request.path.startswith("/oauth/"):
                self._count("token")
                return self.oauth.answer(request) or no_url().reply()
            reply = self._guarded(request)
        except Refused as refused:
            reply = refused.reply()
        left = self.limits.left
        counted = {"X-API-CREDITS-REMAINING": str(left)} if left * 2 <= self.limits.credits else {}
        return Reply(reply.status, reply.body, {**counted, **reply.headers})

    def _guarded(self, request: Request) -> Reply:
        route, call = self._find(request)
        self._count(route.name)
        self.let(route.scope.format(module=call.parts.get("module", "")), call)
        if self.limits.left < route.cost:
            raise too_many("You have exceeded the API credits of your organization")
        self.limits.spend(route.cost)
        return route.handler(call)

    def sent(self) -> list[watch.Delivery]:
        """What Zoho would send out now: notifications and the callbacks of bulk jobs. Each is given once."""
        told = [self.watch.outbox.popleft() for _ in range(len(self.watch.outbox))]
        return [*told, *bulk.settle(self.bulk.jobs, self.world.clock())]

    def _hear(self, event: Event) -> None:
        self.watch.hear(event)
        self.sender.wake()

    def let(self, scope: str, call: Call) -> None:
        """Raises OAUTH_SCOPE_MISMATCH when the request's token is not good for the scope, and 401s when it is not good at all."""
        request = call.request
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("zoho-oauthtoken", "bearer") or not text:
            raise no_token()
        token = self.oauth.find(text, request.headers.get("host", ""))
        if token is None:
            raise invalid_token()
        if not allows(token.scopes, scope):
            raise scope_mismatch()

    def _count(self, name: str) -> None:
        self.calls[name] += 1
        for failure in self._failures:
            failure.strike(name)

    def _find(self, request: Request) -> tuple[Route, Call]:
        found = re.fullmatch(r"/crm(/bulk)?/v(\d(?:\.\d)?)(/.*)", request.path)
        if found is None or float(found[2]) not in VERSIONS:
            raise no_url()
        wrong = False
        for route in BULK if found[1] else ROUTES:
            if parts := route.path.fullmatch(found[3]):
                if route.method == request.method:
                    return route, Call(self, request, float(found[2]), parts.groupdict())
                wrong = True
        raise wrong_method() if wrong else no_url()


def _is_heavy(request: Request) -> bool:
    return request.path.endswith("/coql")


def _letter(told: watch.Delivery) -> Letter:
    return Letter.of(told.url, json.dumps(told.body, ensure_ascii=False).encode(), {"Content-Type": "application/json;charset=UTF-8"})
