"""Projects as one self-contained HTML page: an overview, and for each project its customer, its timeline and its tasks.

Everything that comes from a CRM or a tool is text: the template escapes it, Markdown is rendered with HTML switched off, links lead to http(s) or
mail only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup

from flows import chart
from flows.view import ProjectView, Working, called, day_month, undirected, weekdays

_STATUS = {
    "on_track": "On track",
    "at_risk": "At risk",
    "off_track": "Off track",
    "on_hold": "On hold",
    "complete": "Complete",
    "dropped": "Dropped",
}


def render(
    projects: Sequence[ProjectView],
    *,
    title: str,
    generated_at: datetime,
    summary: Mapping[str, str | int] | None = None,
    is_working: Working = weekdays,
) -> str:
    """The page. `generated_at` gives today; `summary` adds figures to the overview (`{"Deals won": 7}`); `is_working` shades free days."""
    today = generated_at.date()
    return _template().render(
        projects=[(f"p{number}", project, chart.draw(project, today, is_working)) for number, project in enumerate(projects, 1)],
        title=title,
        generated_at=generated_at,
        today=today,
        figures={**_figures(projects, today), **(summary or {})},
    )


def markdown(text: str) -> Markup:
    """Markdown as HTML. HTML in the text stays text, images are not loaded, unsafe links stay text."""
    return Markup(_markdown().render(undirected(text)))  # noqa: S704 (the renderer escapes; HTML in Markdown is off)


def safe_url(url: str) -> str:
    """The address when a browser may follow it, else nothing."""
    try:
        return url if urlsplit(url.strip()).scheme.lower() in {"http", "https"} else ""
    except ValueError:
        return ""


def _figures(projects: Sequence[ProjectView], today: date) -> dict[str, str | int]:
    tasks = [task for project in projects for task in project.tasks]
    return {
        "Projects": len(projects),
        "Tasks": len(tasks),
        "Milestones": sum(task.milestone for task in tasks),
        "Done": sum(task.done for task in tasks),
        "Overdue": sum(task.late(today) for task in tasks),
    }


def _readable(value: object) -> object:
    """Text without the characters that turn or hide other text."""
    return undirected(value) if type(value) is str else value


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_readable
    )
    environment.filters.update(markdown=markdown, safe_url=safe_url, day_month=day_month, called=called)
    environment.globals.update(statuses=_STATUS, chart=chart)
    return environment.get_template("report.html.j2")
