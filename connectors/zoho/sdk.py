"""Requests sent by Zoho's own client, zcrmsdk 3.1.0, instead of httpx: the backend `zcrmsdk`.

Only its HTTP connector is used, with paths of version 8 and the bytes as they come; what it does by itself is kept from happening. It imports a
database driver that it does not require, writes a log into the working directory, keeps field descriptions on disk, opens a connection for
each request, waits for ever, and knows one account per process. Everything else – tokens, limits, retries, meaning – is the same as for httpx,
because this is a transport below the same client. The vendor has archived it (https://github.com/zoho/zohocrm-python-sdk).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx

from connectors.base import ConfigError
from connectors.zoho.errors import SYSTEM
from engine.model import Problem

ROOT = "zcrmsdk.src.com.zoho"
AUTHORIZATION = "authorization"
OWN_BUSINESS = ("content-encoding", "content-length", "transfer-encoding", "connection")  # of a connection, not of its content
PARTS = {
    "connector": f"{ROOT}.crm.api.util.api_http_connector",
    "initializer": f"{ROOT}.crm.api.initializer",
    "signature": f"{ROOT}.crm.api.user_signature",
    "centre": f"{ROOT}.crm.api.dc.data_center",
    "config": f"{ROOT}.crm.api.sdk_config",
    "token": f"{ROOT}.api.authenticator.token",
    "store": f"{ROOT}.api.authenticator.store.token_store",
    "logger": f"{ROOT}.api.logger",
}

_once = threading.Lock()
_wire = threading.local()  # the session and the time-outs of the request that this thread is sending


@dataclass(frozen=True, slots=True)
class Sdk:
    """The vendor's client, set up so that it does nothing but send. `requests` is the library it sends with."""

    connector: Any
    token: Any
    requests: Any


_ready: Sdk | None = None


def sdk() -> Sdk:
    """The vendor's client, prepared once in a process. Raises ConfigError when it is not installed."""
    global _ready  # noqa: PLW0603 – it is one in a process, whoever asks
    with _once:
        if _ready is None:
            _ready = _prepare()
        return _ready


def _prepare() -> Sdk:
    try:
        with _without_database():
            parts = SimpleNamespace(**{name: import_module(path) for name, path in PARTS.items()})
    except ModuleNotFoundError as missing:
        hint = "install the extra: pip install 'handoff[zcrmsdk]'; or set backend: httpx"
        problem = Problem(
            f"backend: zcrmsdk needs a package that is not installed ({missing.name})", hint=hint, path=("connection", "backend")
        )
        raise ConfigError([problem], system=SYSTEM) from missing
    requests = parts.connector.requests
    parts.connector.requests = _Pooled(requests)
    _initialize(parts)
    return Sdk(parts.connector.APIHTTPConnector, parts.token.Token, requests)


@contextmanager
def _without_database() -> Iterator[None]:
    """A stand-in for the database driver that the client imports and never declared, for as long as it is imported."""
    if "mysql" in sys.modules:
        yield
        return
    driver, package = ModuleType("mysql.connector"), ModuleType("mysql")
    driver.Error, package.connector = Exception, driver  # type: ignore[attr-defined]
    sys.modules |= {"mysql": package, "mysql.connector": driver}
    try:
        yield
    finally:
        for name in ("mysql", "mysql.connector"):
            sys.modules.pop(name, None)


def _initialize(parts: SimpleNamespace) -> None:
    """What the client demands before it sends: an account, a store, a folder and a log. None of them is used, and none stays."""
    nobody = parts.signature.UserSignature("nobody@example.com")
    nowhere = parts.centre.DataCenter.Environment("https://www.zohoapis.com", "https://accounts.zoho.com", "https://content.zohoapis.com")
    with tempfile.TemporaryDirectory(prefix="handoff-zcrmsdk-") as folder:
        parts.initializer.Initializer.initialize(
            nobody,
            nowhere,
            _bridge(parts.token.Token, ""),
            _no_store(parts.store.TokenStore),
            parts.config.SDKConfig(),
            folder,
            logger=parts.logger.Logger(parts.logger.Logger.Levels.CRITICAL, os.devnull),
        )
    _silence(logging.getLogger("SDKLogger"))


def _silence(log: logging.Logger) -> None:
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.disabled, log.propagate = True, False


def _bridge(kind: Any, header: str) -> Any:
    """A token of the client's kind that holds ours, and neither renews nor stores it."""

    class Bridge(kind):  # type: ignore[misc]
        def authenticate(self, url_connection: Any) -> None:
            if header:
                url_connection.add_header("Authorization", header)

        def remove(self) -> bool:
            return False

    return Bridge()


def _no_store(kind: Any) -> Any:
    def refuse(*_: Any) -> None:
        raise NotImplementedError("tokens are not kept by this client")

    return type("NoStore", (kind,), dict.fromkeys(kind.__abstractmethods__, refuse))()


class _Pooled:
    """Stands where the client has the `requests` module: the same calls, on the pooled session and with the time-outs of this thread's request.

    To anybody else in this process who uses the client it is the module itself.
    """

    def __init__(self, requests: Any) -> None:
        self._requests = requests

    def __getattr__(self, verb: str) -> Any:
        session = getattr(_wire, "session", None)
        if session is None:
            return getattr(self._requests, verb)

        def send(**given: Any) -> Any:
            return getattr(session, verb)(timeout=_wire.timeout, **given)

        return send


class _Bytes:
    """The converter the client asks for a body: the bytes as they are."""

    def append_to_request(self, _connector: Any, body: bytes) -> bytes:
        return body


class SdkTransport(httpx.AsyncBaseTransport):
    """Each request in a thread of its own, on kept connections, `at_once` of them at most."""

    def __init__(self, at_once: int) -> None:
        self._sdk = sdk()
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "zcrmsdk")
        self._session = self._make_session()

    def _make_session(self) -> Any:
        requests = self._sdk.requests
        session = requests.Session()
        session.trust_env = False  # no proxy, and no ~/.netrc that would replace the token
        session.cookies.set_policy(_NoCookies())
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=self._at_once, max_retries=0))
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._send, request, body)
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in OWN_BUSINESS]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content, request=request)

    def _send(self, request: httpx.Request, body: bytes) -> Any:
        told = request.extensions.get("timeout", {})
        _wire.session, _wire.timeout = self._session, (told.get("connect"), told.get("read"))
        connector = self._sdk.connector()
        connector.url, connector.request_method, connector.request_body = str(request.url), request.method, body or None
        for name, value in _own_headers(request.headers).items():
            connector.add_header(name, value)
        _bridge(self._sdk.token, request.headers.get(AUTHORIZATION, "")).authenticate(connector)
        try:
            return connector.fire_request(_Bytes())
        except OSError as failure:
            raise self._meaning(failure, request) from failure
        finally:
            _wire.session = None

    def _meaning(self, failure: OSError, request: httpx.Request) -> httpx.TransportError:
        """`requests` raises OSErrors of its own. What is known of the connection is all that matters: it was never made, or it was."""
        errors = self._sdk.requests.exceptions
        if isinstance(failure, errors.ConnectTimeout) or "NewConnectionError" in str(failure) or "NameResolutionError" in str(failure):
            return httpx.ConnectError("no connection", request=request)
        if isinstance(failure, errors.Timeout):
            return httpx.ReadTimeout("no answer in time", request=request)
        return httpx.ReadError(type(failure).__name__, request=request)

    async def aclose(self) -> None:
        self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _NoCookies:
    """Sessions share nothing: no cookie is kept, none is sent."""

    netscape, rfc2965, hide_cookie2 = True, False, False

    def return_ok(self, *_: object) -> bool:
        return False

    set_ok = domain_return_ok = path_return_ok = return_ok


def _own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    left_out = ("host", "connection", "content-length", "accept-encoding", AUTHORIZATION)
    return {name: value for name, value in headers.items() if name.lower() not in left_out}
