"""In front of every page: is it meant for us, who asks, and what a browser is told about what it gets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from starlette.requests import cookie_parser

from connectors.base import ConnectorError
from hub import web
from hub.access import Access, Visitor

COOKIE = "handoff_session"
_OPEN = {"/healthz", "/readyz", "/sign-in", "/sign-in/oidc", "/sign-in/back"}
_SAFE = {"GET", "HEAD", "OPTIONS"}
_FOR_PROGRAMS = ("/api/", "/metrics")
_LARGEST = 64 * 1024  # bytes of a body; no page or program has more to say
_HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HSTS = {"strict-transport-security": "max-age=31536000"}


class Guard:
    """Lets to `app` what is meant for one of `hosts` and comes from somebody who may come in; what is open needs nobody's leave.

    `url` is the hub's public address. Whoever asks stands in the request's state as `visitor`.
    """

    def __init__(self, app: web.App, access: Access, *, hosts: Iterable[str], url: str) -> None:
        self._app, self._access = app, access
        public = urlsplit(url)
        self._public = public.netloc.lower() if public.scheme == "https" else ""
        self._hosts = {name.lower() for name in ("localhost", "127.0.0.1", "::1", public.hostname or "", *hosts) if name}

    async def __call__(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        headers = web.headers_of(scope)
        if scope["scheme"] == "http" and self._public and headers.get("host", "").lower() == self._public:
            scope["scheme"] = "https"  # whatever ended TLS in front of us
        told = _told(send, https=scope["scheme"] == "https", kept=scope["path"].startswith("/static/"))
        answer = await self._objection(scope, headers)
        if answer is not None:
            await answer(told)
        else:
            await self._app(scope, _bounded(receive) if scope["path"].startswith("/api/") else receive, told)

    async def _objection(self, scope: web.Scope, headers: dict[str, str]) -> web.Answer | None:
        path = scope["path"]
        if path != "/healthz" and _hostname(headers.get("host", "")) not in self._hosts:
            return web.Answer(421, b"this is not the host you asked for; see HANDOFF_HUB_URL and HANDOFF_HUB_HOSTS\n")
        if (length := headers.get("content-length", "")).isdecimal() and int(length[:20]) > _LARGEST:
            return web.Answer(413, b"that is more than is taken here\n")
        try:
            visitor = await self._visitor(headers)
        except ConnectorError:
            return web.Answer(503, b"the hub's database does not answer; try again later\n", headers={"retry-after": "5"})
        scope.setdefault("state", {})["visitor"] = visitor
        if scope["method"] not in _SAFE and (visitor is None or visitor.session) and not _is_from_here(scope, headers):
            return web.Answer(403, b"a form of another site was sent here\n")
        if visitor is None and not (path in _OPEN or path.startswith("/static/")):
            return _sign_in(scope, headers)
        return None

    async def _visitor(self, headers: dict[str, str]) -> Visitor | None:
        kind, _, secret = headers.get("authorization", "").partition(" ")
        if kind:
            return await self._access.by_token(secret.strip()) if kind.lower() == "bearer" else None
        return await self._access.by_cookie(cookie(headers, COOKIE))


def cookie(headers: dict[str, str], name: str) -> str:
    """Whatever other applications on this host have put beside it: not all of that is as the standard library would have it."""
    return cookie_parser(headers.get("cookie", "").replace(", ", "; ")).get(name, "")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_from_here(scope: web.Scope, headers: dict[str, str]) -> bool:
    """What the browser says of where a form was; one that says nothing is told by the form's token."""
    if site := headers.get("sec-fetch-site"):
        return site in {"same-origin", "none"}
    origin = headers.get("origin", "null")
    return origin in {"null", f"{scope['scheme']}://{headers.get('host', '')}"}


def _sign_in(scope: web.Scope, headers: dict[str, str]) -> web.Answer:
    if scope["path"].startswith(_FOR_PROGRAMS) or "authorization" in headers or scope["method"] not in _SAFE:
        told = json.dumps({"error": "a token is needed: Authorization: Bearer …; `handoff access add` makes one"}, ensure_ascii=False)
        return web.Answer(401, told.encode(), "application/json", {"www-authenticate": "Bearer"})
    back = "" if scope["path"] == "/" else f"?next={quote(scope['path'], safe='/')}"
    return web.Answer(303, headers={"location": f"/sign-in{back}"})


def _bounded(receive: web.Receive) -> web.Receive:
    """Of what does not say how long it is: it ends when it is too long, as if its sender had gone. Forms see to that themselves."""
    read = 0

    async def take() -> web.Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        return message if read <= _LARGEST else {"type": "http.disconnect"}

    return take


def _told(send: web.Send, *, https: bool, kept: bool) -> web.Send:
    added = {**_HEADERS, **(_HSTS if https else {}), "cache-control": "max-age=3600" if kept else "no-store"}
    raw = [(name.encode(), value.encode()) for name, value in added.items()]

    async def tell(message: web.Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*(pair for pair in message["headers"] if pair[0].decode().lower() not in added), *raw]
        await send(message)

    return tell
