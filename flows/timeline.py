"""A project as a timeline in the terminal: rows are tasks, bars are their days, free days are shaded, today is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from flows.board import cut, heading
from flows.view import ProjectView, TaskView, Working, plain, weekdays

Grid = list[tuple[str, str]]  # text and style, cell by cell
_DAYS_PER_CELL = (1, 2, 7, 14, 28)


@dataclass(frozen=True, slots=True)
class Scale:
    """Which days each cell of the grid stands for. Wide terminals give a day several cells, long projects give a cell several days."""

    first: date
    days: int
    cells_per_day: int
    days_per_cell: int

    @property
    def width(self) -> int:
        return -(-self.days // self.days_per_cell) * self.cells_per_day

    def cell(self, day: date) -> int:
        return (day - self.first).days // self.days_per_cell * self.cells_per_day

    def day(self, cell: int) -> date:
        return self.first + timedelta(days=cell // self.cells_per_day * self.days_per_cell)


def fit(first: date, last: date, width: int) -> Scale:
    """The finest scale that shows first to last in so many cells; coarser than four weeks a cell it never gets."""
    days = (last - first).days + 1
    if days <= width:
        return Scale(first, days, min(3, width // days), 1)
    monday = first - timedelta(days=first.weekday())
    days = (last - monday).days + 1
    per_cell = next((size for size in _DAYS_PER_CELL if -(-days // size) <= width), _DAYS_PER_CELL[-1])
    return Scale(monday, min(days, width * per_cell), 1, per_cell)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Print it: `console.print(Timeline(project, today, calendar.is_working))`."""

    project: ProjectView
    today: date
    is_working: Working = weekdays

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield heading(self.project)
        span = self.project.span
        if span is None:
            yield Text("Nothing in this project has a date yet.", style="dim")
            return
        label = min(38, max(20, options.max_width * 2 // 5))
        scale = fit(*span, max(options.max_width - label - 1, 10))
        yield from _header(scale, label)
        yield from self._rows(scale, label)

    def _rows(self, scale: Scale, label: int) -> RenderResult:
        numbers = {task.name: str(number) for number, task in reversed(list(enumerate(self.project.tasks, 1)))}
        number = 0
        for section in self.project.sections:
            yield _line(Text(_fill(plain(section.name), label), style="bold"), self._ground(scale))
            for task in section.tasks:
                number += 1
                yield _line(_label(task, number, numbers, label), self._bar(task, scale))

    def _ground(self, scale: Scale) -> Grid:
        grid = [(" " if self._counts(scale, cell) else "░", "bright_black") for cell in range(scale.width)]
        cell = scale.cell(self.today)
        if 0 <= cell < scale.width:
            grid[cell] = ("┊", "yellow")
        return grid

    def _bar(self, task: TaskView, scale: Scale) -> Grid:
        grid = self._ground(scale)
        if task.span is None:
            return grid
        first, last = (min(max(scale.cell(day), 0), scale.width - 1) for day in task.span)
        if task.milestone:
            grid[last] = ("◆", "green" if task.done else "magenta")
            return grid
        colour = "green" if task.done else "red" if task.late(self.today) else "cyan"
        for cell in range(first, min(last + scale.cells_per_day, scale.width)):
            grid[cell] = ("█" if self._counts(scale, cell) else "▒", colour)
        return grid

    def _counts(self, scale: Scale, cell: int) -> bool:
        return scale.days_per_cell > 1 or self.is_working(scale.day(cell))


def _header(scale: Scale, label: int) -> RenderResult:
    months, ticks = [" "] * scale.width, [" "] * scale.width
    for cell in range(0, scale.width, scale.cells_per_day):
        day, before = scale.day(cell), scale.day(cell) - timedelta(days=scale.days_per_cell)
        if cell == 0 or day.month != before.month:
            _write(months, cell, f"{day:%b %Y}" if day.month == 1 else f"{day:%b}")
        if day.weekday() == 0 and scale.days_per_cell <= 7:
            _write(ticks, cell, f"{day.day:02d}")
    yield _line(Text(" " * label), [("".join(months), "bold")])
    yield _line(Text(" " * label), [("".join(ticks), "dim")])


def _write(cells: list[str], at: int, text: str) -> None:
    """Write where there is room: never over another word, never beyond the edge."""
    free = cells[max(at - 1, 0) : at + len(text)]
    if at + len(text) <= len(cells) and all(cell == " " for cell in free):
        cells[at : at + len(text)] = text


def _label(task: TaskView, number: int, numbers: dict[str, str], width: int) -> Text:
    waits = [numbers[name] for name in task.waits_for if name in numbers]
    hint = f" ←{_several(waits)}" if waits else ""
    name = f"{number:>2} {'✓ ' if task.done else ''}{plain(task.name)}"
    return Text(_fill(name, width - cell_len(hint)), no_wrap=True).append(hint, "dim")


def _several(numbers: Sequence[str]) -> str:
    return ",".join(numbers) if len(numbers) <= 3 else f"{numbers[0]},{numbers[1]}…"


def _fill(text: str, cells: int) -> str:
    text = cut(text, cells)
    return text + " " * (cells - cell_len(text))


def _line(label: Text, grid: Grid) -> Text:
    return Text.assemble(label, " ", *grid, no_wrap=True, overflow="crop")
