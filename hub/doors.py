"""Signing in and out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Literal, TypedDict
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from hub import web
from hub.access import Visitor
from hub.desk import Desk
from hub.guard import COOKIE
from hub.oidc import Attempt, NotVouched, Provider
from hub.sessions import LASTS
from hub.show import Show

_LARGEST, _MOST = 64 << 10, 50
_WITHIN = 5.0  # seconds
_ATTEMPTED, _ATTEMPT = "handoff_attempt", timedelta(minutes=10)
Fields = dict[str, str]


class _Cookie(TypedDict):
    httponly: bool
    samesite: Literal["lax"]
    secure: bool


async def fields(request: Request) -> Fields:
    """What a form holds. Raises 413 or 400 for more than any form of ours does, 408 for one that dawdles."""
    body = bytearray()
    try:
        async with asyncio.timeout(_WITHIN):
            async for part in request.stream():
                body += part
                if len(body) > _LARGEST:
                    raise HTTPException(413, "that is more than the form has room for")
    except TimeoutError:
        raise HTTPException(408, "the form did not come in time") from None
    text = body.decode("utf-8", "replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True, max_num_fields=_MOST).items()}
    except ValueError:
        raise HTTPException(400, "that is more than any form of ours asks for") from None


def visitor(request: Request) -> Visitor:
    """Whoever asks; the guard let them in."""
    found: Visitor | None = request.state.visitor
    if found is None:
        raise HTTPException(401, "sign in first")
    return found


def back(asked: str) -> str:
    """A path of ours, whatever was asked for."""
    return asked if asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable() else "/"


def let_in(request: Request, cookie: str, to: str) -> Response:
    """With a session, and on to where they wanted to go."""
    answer = RedirectResponse(back(to), 303)
    answer.set_cookie(COOKIE, cookie, max_age=int(LASTS.total_seconds()), path="/", **_cookie(request))
    return answer


def doors(desk: Desk, show: Show, provider: Provider | None) -> APIRouter:
    """The pages of signing in and out; with `provider` people may come by way of that too."""
    routes = APIRouter(include_in_schema=False)

    def page(request: Request, to: str, told: str = "", status: int = 200) -> Response:
        return show(request, "sign_in", {"next": back(to), "told": told, "provider": provider is not None}, status=status)

    @routes.get("/sign-in")
    async def form(request: Request, next: str = "/") -> Response:
        return page(request, next)

    @routes.post("/sign-in")
    async def sign_in(request: Request, given: Annotated[Fields, Depends(fields)]) -> Response:
        peer, to = web.peer_of(request.scope), given.get("next", "/")
        if desk.attempts.is_empty(peer):
            return page(request, to, "Too many wrong tokens from where you are. Wait a minute, then try again.", 429)
        cookie = await desk.access.begin(given.get("token", "").strip())
        if cookie is None:
            desk.attempts.take(peer)
            return page(request, to, "That is no token of this hub.", 401)
        return let_in(request, cookie, to)

    @routes.post("/sign-out")
    async def sign_out(given: Annotated[Fields, Depends(fields)], who: Annotated[Visitor, Depends(visitor)]) -> Response:
        check_form(desk, who, given)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        return answer

    @routes.get("/sign-in/oidc")
    async def leave(request: Request, next: str = "/") -> Response:
        """Off to the provider; what is to be remembered goes along in a cookie that is good for that alone."""
        if provider is None:
            raise HTTPException(404, "there is no provider; HANDOFF_OIDC_ISSUER names one")
        try:
            url, attempt = await provider.begin()
        except NotVouched as error:
            return page(request, next, str(error), 502)
        answer = RedirectResponse(url, 303)
        kept = desk.sessions.sign("attempt", {**asdict(attempt), "next": back(next)}, _ATTEMPT)
        answer.set_cookie(_ATTEMPTED, kept, max_age=int(_ATTEMPT.total_seconds()), path="/sign-in", **_cookie(request))
        return answer

    @routes.get("/sign-in/back")
    async def come_back(request: Request) -> Response:
        kept = desk.sessions.verify("attempt", request.cookies.get(_ATTEMPTED, ""))
        if provider is None or kept is None:
            return page(request, "/", "That took too long, or was begun elsewhere. Try again.", 400)
        try:
            attempt = Attempt(kept["state"], kept["nonce"], kept["verifier"])
            email = await provider.finish(str(request.url), attempt)
        except NotVouched as error:
            return page(request, kept["next"], f"{error}. Try again.", 403)
        cookie = desk.access.begin_as(email)
        if cookie is None:
            return page(request, kept["next"], f"{email} is not on this hub's list.", 403)
        answer = let_in(request, cookie, kept["next"])
        answer.delete_cookie(_ATTEMPTED, path="/sign-in")
        return answer

    return routes


def _cookie(request: Request) -> _Cookie:
    return {"httponly": True, "samesite": "lax", "secure": request.url.scheme == "https"}


def check_form(desk: Desk, who: Visitor, given: Fields) -> None:
    """The form is one of ours, made for this session. Raises 403."""
    if who.session is None or not desk.sessions.is_form_token(who.session, given.get("form_token", "")):
        raise HTTPException(403, "this form is out of date; load the page again")
