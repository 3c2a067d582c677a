"""The stand-in of Salesforce's REST API: who may come in, what it costs, and which resource answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sandbox.salesforce import bulk, collections_, composite, sobjects
from sandbox.salesforce.calls import Call, Handler
from sandbox.salesforce.cursors import Cursors
from sandbox.salesforce.errors import ApiError, not_found, over_quota, session_expired
from sandbox.salesforce.oauth import OAuth, is_dead
from sandbox.salesforce.org import Clock, Org
from sandbox.salesforce.outbound import Outbound
from sandbox.sender import Sender
from sandbox.web import Failure, Reply, Request

URI_AND_HEADERS = 16_384
OLDEST, NEWEST = 31, 68
_OBJECT = r"/sobjects/(?P<object>\w+)"
_RECORD = rf"{_OBJECT}/(?P<id>\w{{15}}|\w{{18}})"
_BY_KEY = rf"{_OBJECT}/(?P<field>\w+)/(?P<value>.+)"
_MANY = r"/composite/sobjects"
_JOB = r"/jobs/query/(?P<job>\w+)"
# method, path behind the version, the name calls are counted under, handler; the first that fits answers
_ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", r"/query/?", "query", sobjects.query),
    ("GET", r"/queryAll/?", "query", sobjects.query_all),
    ("GET", r"/query(?:All)?/(?P<locator>[\w-]+)", "query_more", sobjects.more),
    ("GET", r"/sobjects/?", "describe", sobjects.objects),
    ("GET", rf"{_OBJECT}/?", "describe", sobjects.metadata),
    ("GET", rf"{_OBJECT}/describe/?", "describe", sobjects.described),
    ("GET", rf"{_OBJECT}/updated/?", "updated", sobjects.updated),
    ("GET", rf"{_OBJECT}/deleted/?", "deleted", sobjects.deleted),
    ("POST", rf"{_OBJECT}/?", "sobjects", sobjects.create),
    ("GET", _RECORD, "sobjects", sobjects.read),
    ("PATCH", _RECORD, "sobjects", sobjects.change),
    ("DELETE", _RECORD, "sobjects", sobjects.remove),
    ("GET", _BY_KEY, "sobjects", sobjects.read_by_key),
    ("PATCH", _BY_KEY, "sobjects", sobjects.upsert),
    ("POST", rf"{_MANY}/?", "collections", collections_.create),
    ("PATCH", rf"{_MANY}/?", "collections", collections_.change),
    ("DELETE", rf"{_MANY}/?", "collections", collections_.remove),
    ("PATCH", rf"{_MANY}/(?P<object>\w+)/(?P<field>\w+)/?", "collections", collections_.upsert),
    ("POST", r"/composite/?", "composite", composite.composite),
    ("POST", r"/composite/batch/?", "composite", composite.batch),
    ("GET", r"/limits/?", "limits", lambda call: call.site.limits()),
    ("POST", r"/jobs/query/?", "bulk", bulk.create),
    ("GET", r"/jobs/query/?", "bulk", bulk.listed),
    ("GET", _JOB, "bulk", bulk.status),
    ("PATCH", _JOB, "bulk", bulk.abort),
    ("DELETE", _JOB, "bulk", bulk.remove),
    ("GET", rf"{_JOB}/results/?", "bulk", bulk.results),
)
_COMPILED = tuple((method, re.compile(path), name, handler) for method, path, name, handler in _ROUTES)


class Salesforce:
    """One org behind its API. `org` is where tests and demos change things; `oauth`, `bulk` and `cursors` are settings of the API.

    `calls` counts requests by resource: token, introspect, versions, query, query_more, describe, sobjects, updated, deleted, collections,
    composite, limits, bulk. `sender` sends what the org pushes. `retired` is how a retired API version is refused. `page_rows` are the rows
    of a page at most, whatever was asked for.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 0,
        daily_limit: int = 100_000,
        token_life: float | None = 7200,
        multi_currency: bool = True,
        version: str = "66.0",
    ) -> None:
        self.version = version
        self.org = Org(clock, seed=seed, daily_limit=daily_limit, multi_currency=multi_currency)
        self.oauth = OAuth(life=token_life)
        self.bulk = bulk.Bulk()
        self.cursors = Cursors(clock, timedelta(days=2))
        self.page_rows = 2000
        self.calls: Counter[str] = Counter()
        self.retired = ApiError("UNSUPPORTED_API_VERSION", "The requested API version is retired", 410)
        self._failures: list[Failure] = []
        self.outbound = Outbound(self.org)
        self.sender = Sender(clock, self.outbound.letters)

    def push_to(
        self, url: str, objects: Sequence[str] = ("Opportunity",), *, fields: Sequence[str] = ("Id",), first_retry: float = 5.0
    ) -> None:
        """From now on, tell `url` of every record of these objects that is saved. What is not acknowledged is sent again after `first_retry`
        seconds, then after twice as many, and so on."""
        self.outbound.push_to(url, objects, fields, timedelta(seconds=first_retry))
        if self._saved not in self.org.listeners:
            self.org.listeners.append(self._saved)

    def _saved(self, object_name: str, id: str) -> None:
        self.outbound.saved(object_name, id)
        self.sender.wake()

    def fail(self, resource: str, code: str, message: str = "", *, status: int = 400, times: int = 1, skip: int = 0) -> None:
        """Lets `skip` calls of a resource pass, then refuses `times` of them in Salesforce's own words, with nothing done."""
        self._failures.append(Failure(resource, ApiError(code, message or code, status), times, skip))

    def admit(self, request: Request) -> Reply | None:
        return None

    def release(self, request: Request) -> None:
        return None

    def handle(self, request: Request) -> Reply:
        self.org.settle()
        try:
            reply = self._open(request) or self._guarded(request)
        except ApiError as refused:
            reply = refused.reply()
        usage = f"api-usage={self.org.used}/{self.org.daily_limit}"
        stamped = {"Date": sobjects.http_date(self.org.clock()), "Sforce-Limit-Info": usage}
        return Reply(reply.status, reply.body, {**stamped, **reply.headers})

    def _open(self, request: Request) -> Reply | None:
        """What needs no token and costs no call."""
        match request.method, request.path.rstrip("/"):
            case "POST", "/services/oauth2/token":
                return self._token(request)
            case "POST", "/services/oauth2/introspect":
                self._count("introspect")
                return self.oauth.introspect(self.org, request)
            case "GET", "/services/data":
                self._count("versions")
                return self._versions()
            case _:
                return None

    def _token(self, request: Request) -> Reply:
        try:
            self._count("token")
        except ApiError as refused:
            return Reply.json(refused.status, {"error": refused.code, "error_description": refused.message})
        return self.oauth.token(self.org, request)

    def _versions(self) -> Reply:
        newest = int(float(self.version))
        listed = [{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in range(OLDEST, newest + 1)]
        return Reply.json(200, listed)

    def _guarded(self, request: Request) -> Reply:
        if len(request.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.headers.items()) > URI_AND_HEADERS:
            page = b"<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>"
            return Reply(431, page, {"Content-Type": "text/html; charset=iso-8859-1"})
        name, _, _ = self._route(request)
        self._count(name)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("Bearer", "OAuth") or is_dead(self.org, token):
            raise session_expired()
        if self.org.used >= self.org.daily_limit:
            raise over_quota()
        self.org.used += 1
        return self.resource(request)

    def _count(self, name: str) -> None:
        self.calls[name] += 1
        for failure in self._failures:
            failure.strike(name)

    def resource(self, request: Request) -> Reply:
        """The answer of the resource itself, for callers that are let in already."""
        try:
            _, handler, call = self._route(request)
            return handler(call)
        except ApiError as refused:
            return refused.reply()

    def _route(self, request: Request) -> tuple[str, Handler, Call]:
        found = re.fullmatch(r"/services/data/v(\d+\.\d)(/.*)?", request.path)
        if found is None:
            raise not_found()
        if not OLDEST <= float(found[1]) <= NEWEST:
            raise self.retired
        wrong_method = False
        for method, path, name, handler in _COMPILED:
            if parts := path.fullmatch(found[2] or "/"):
                if method == request.method:
                    return name, handler, Call(self, request, found[1], parts.groupdict())
                wrong_method = True
        if wrong_method:
            raise ApiError("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.", 405)
        raise not_found()

    def limits(self) -> Reply:
        def left(most: int, used: int = 0) -> dict[str, int]:
            return {"Max": most, "Remaining": max(0, most - used)}

        jobs = left(10_000, len(self.bulk.jobs))
        storage = left(1_000_000)
        daily = left(self.org.daily_limit, self.org.used)
        return Reply.json(200, {"DailyApiRequests": daily, "DailyBulkV2QueryJobs": jobs, "DailyBulkV2QueryFileStorageMB": storage})
