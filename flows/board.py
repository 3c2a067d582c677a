"""A project as a board in the terminal: one column a section, one card a task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.view import ProjectView, SectionView, TaskView, called, day_month, initials, plain

_NARROWEST = 22
_STATUS = {"on_track": "green", "at_risk": "yellow", "off_track": "red", "on_hold": "blue", "complete": "green", "dropped": "dim"}


@dataclass(frozen=True, slots=True)
class Board:
    """Print it: `console.print(Board(project, today))`. Columns wrap to further rows where the terminal is narrow."""

    project: ProjectView
    today: date | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield heading(self.project)
        sections = self.project.sections
        columns = max(1, min(len(sections), options.max_width // _NARROWEST))
        for first in range(0, len(sections), columns):
            yield self._row(sections[first : first + columns], columns)

    def _row(self, sections: tuple[SectionView, ...], columns: int) -> Table:
        row = Table.grid(expand=True, padding=(0, 0))
        for _ in range(columns):
            row.add_column(ratio=1, overflow="fold")
        row.add_row(*(self._column(section) for section in sections))
        return row

    def _column(self, section: SectionView) -> RenderableType:
        return Group(_ColumnTitle(section), *(self._card(task) for task in section.tasks))

    def _card(self, task: TaskView) -> Panel:
        late = self.today is not None and task.late(self.today)
        border = "green" if task.done else "red" if late else "magenta" if task.milestone else "bright_black"
        footer = _footer(task, late)
        lines = [_Title(task), footer] if footer.plain else [_Title(task)]
        return Panel(Group(*lines), box=box.ROUNDED, border_style=border, padding=(0, 1))


@dataclass(frozen=True, slots=True)
class _ColumnTitle:
    """The section's name, cut so that its count always shows."""

    section: SectionView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tasks = self.section.tasks
        count = f"  {sum(task.done for task in tasks)}/{len(tasks)}"
        name = cut(f" {plain(self.section.name)}", options.max_width - len(count) - 1)
        yield Text(name, style="bold", no_wrap=True).append(count, "dim")


@dataclass(frozen=True, slots=True)
class _Title:
    """A card's title: two lines at most, cut by cells so that wide characters never break the frame."""

    task: TaskView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        mark = "✓ " if self.task.done else "◆ " if self.task.milestone else ""
        text = Text(mark + plain(self.task.name), style="dim" if self.task.done else "")
        first, *more = text.wrap(console, options.max_width) or [text]
        yield first
        if more:
            yield more[0] if len(more) == 1 else Text(cut(more[0].plain + "…", options.max_width), style=text.style)


def heading(project: ProjectView) -> Text:
    """The line above a board or a timeline: name, status, progress, owner, dates."""
    done, total = project.progress
    line = Text(plain(project.name), style="bold")
    if project.status:
        line.append(f"  ● {project.status.replace('_', ' ')}", _STATUS.get(project.status, "dim"))
    days = " – ".join(day_month(day) for day in (project.start_on, project.due_on) if day)
    facts = [f"{done}/{total} done", called(project.owner), days]
    return line.append("  " + " · ".join(fact for fact in facts if fact), "dim")


def cut(text: str, cells: int) -> str:
    """At most so many terminal cells, with an ellipsis where something was cut."""
    return text if cell_len(text) <= cells else set_cell_size(text, max(cells - 1, 0)).rstrip() + "…"


def _footer(task: TaskView, late: bool) -> Text:
    subtasks = f"{sum(each.done for each in task.subtasks)}/{len(task.subtasks)} ☐" if task.subtasks else ""
    line = Text(initials(task.assignee), style="cyan", no_wrap=True, overflow="ellipsis")
    for fact, style in ((day_month(task.due_on), "red" if late else "dim"), (subtasks, "dim")):
        if fact:
            line.append(" · " if line.plain else "", "dim").append(fact, style)
    return line
