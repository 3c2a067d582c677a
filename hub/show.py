"""Pages from templates. Whatever comes from a CRM, a tool or a person is text: the templates escape it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from flows.report import markdown, safe_url
from flows.view import undirected
from hub.access import Visitor
from hub.desk import Desk


class Show:
    """Renders for whoever asks, in the zone of the rules."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._zone = desk, desk.loaded.configuration.zone()
        folder = FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = Environment(
            loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_readable
        )
        self._templates.filters.update(markdown=markdown, safe_url=safe_url, said=said, at=partial(_at, self._zone), lasted=lasted)

    def __call__(self, request: Request, page: str, values: Mapping[str, Any] | None = None, *, status: int = 200) -> HTMLResponse:
        visitor: Visitor | None = request.state.visitor
        now = self._desk.clock()
        form = self._desk.sessions.form_token(visitor.session) if visitor and visitor.session else ""
        shared = {"visitor": visitor, "form_token": form, "path": request.url.path, "now": now, "ago": partial(_ago, now)}
        text = self._templates.get_template(f"{page}.html.j2").render({**shared, **(values or {})})
        return HTMLResponse(text, status)


def _readable(value: object) -> object:
    """Text without the characters that turn or hide other text."""
    return undirected(value) if type(value) is str else value


def said(words: str) -> Markup:
    """A message of ours, whose `commands` stand out."""
    parts = undirected(words).split("`")
    if len(parts) % 2 == 0:
        return escape(undirected(words))
    return Markup().join(Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts))


def _at(zone: tzinfo, moment: datetime | None) -> str:
    return f"{moment.astimezone(zone):%d %b %Y, %H:%M %Z}" if moment else "never"


def _ago(now: datetime, moment: datetime | None) -> str:
    """`3 min ago`, `in 2 h`; `never` for no moment."""
    if moment is None:
        return "never"
    told = lasted(abs(now - moment))
    return f"in {told}" if moment > now else f"{told} ago"


def lasted(length: timedelta) -> str:
    """`12 s`, `3 min`, `2 h`, `5 days`."""
    seconds = int(length.total_seconds())
    for size, noun in ((172_800, "days"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3600, 'min': 60}[noun]} {noun}"
    return f"{seconds} s"
