"""A small project the view tests look at."""

from __future__ import annotations

import io
from datetime import date

from rich.console import Console, RenderableType

from flows.view import ProjectView, SectionView, TaskView

TODAY = date(2026, 11, 25)  # a Wednesday


def printed(shown: RenderableType, width: int = 80) -> list[str]:
    """The lines a terminal of that width would show."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(shown)
    return file.getvalue().splitlines()


def task(name: str, start: date | None = None, due: date | None = None, **fields: object) -> TaskView:
    return TaskView(key=f"k/{name}", name=name, start_on=start, due_on=due, **fields)  # type: ignore[arg-type]


def project(*sections: SectionView, **fields: object) -> ProjectView:
    return ProjectView(key="salesforce:deal:006/onboarding", sections=sections, **{"name": "Onboarding", **fields})  # type: ignore[arg-type]


BRIEFING = task("Sales briefing", date(2026, 11, 23), date(2026, 11, 24), done=True, assignee="Clara Weiss")
BILLING = task("Billing", date(2026, 11, 23), date(2026, 11, 24), assignee="tom.fischer@meridian.example")
AGENDA = task("Agenda", None, date(2026, 11, 27), done=True)
KICKOFF = task(
    "Kickoff 明远智能制造有限公司",
    None,
    date(2026, 12, 1),
    milestone=True,
    waits_for=("Sales briefing", "Billing"),
    subtasks=(AGENDA, task("Minutes")),
    assignee="陈浩然",
)
SCOPE = task("Agree the scope", date(2026, 12, 2), date(2026, 12, 8), waits_for=("Kickoff 明远智能制造有限公司",))
SMALL = project(
    SectionView("Handover", (BRIEFING, BILLING)),
    SectionView("启动 Kickoff", (KICKOFF, SCOPE)),
    name="明远智能 · Onboarding",
    status="on_track",
    owner="Chen Haoran",
    customer="明远智能",
    start_on=date(2026, 11, 23),
    due_on=date(2026, 12, 8),
    why="rule onboard-won-deals, rules.yaml:29",
    url="https://app.asana.com/0/1/board",
    source_url="https://example.lightning.force.com/r/1",
    context_markdown="## Deal\n\n| Service | Total |\n|:--|--:|\n| 系统集成 | 1,280,000 CNY |\n",
)
