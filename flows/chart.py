"""The geometry of a timeline drawing: where bars, milestones, arrows, free days and months stand, in SVG units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rich.cells import cell_len, set_cell_size

from flows.view import ProjectView, TaskView, Working, plain, weekdays

WIDTH, LABEL, HEAD, ROW, GAP = 1000, 300, 40, 24, 10
_LONGEST_WITH_DAYS = 200


@dataclass(frozen=True, slots=True)
class Band:
    """A vertical stretch: a free day, a week line or a month."""

    x: float
    width: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a section's heading (`task` None) or a task with its bar from `x` over `width` (None without dates)."""

    y: float
    label: str
    title: str
    task: TaskView | None = None
    x: float | None = None
    width: float = 0
    state: str = ""

    @property
    def middle(self) -> float:
        return self.y + ROW / 2

    @property
    def end(self) -> float:
        return (self.x or 0) + self.width


@dataclass(frozen=True, slots=True)
class Chart:
    height: float
    rows: tuple[Row, ...]
    free: tuple[Band, ...]
    months: tuple[Band, ...]
    weeks: tuple[Band, ...]
    arrows: tuple[str, ...]
    today: float | None


@dataclass(frozen=True, slots=True)
class Axis:
    first: date
    last: date

    @property
    def per_day(self) -> float:
        return (WIDTH - LABEL) / ((self.last - self.first).days + 1)

    def x(self, day: date) -> float:
        return round(LABEL + (day - self.first).days * self.per_day, 1)

    def days(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1))


def draw(project: ProjectView, today: date, is_working: Working = weekdays) -> Chart | None:
    """The project's timeline; None when nothing in it has a date."""
    span = project.span
    if span is None:
        return None
    axis = Axis(span[0] - timedelta(days=span[0].weekday()), span[1] + timedelta(days=6 - span[1].weekday()))
    rows = tuple(_rows(project, axis, today))
    days = list(axis.days())
    short = len(days) <= _LONGEST_WITH_DAYS
    return Chart(
        height=rows[-1].y + ROW + GAP if rows else HEAD,
        rows=rows,
        free=tuple(Band(axis.x(day), round(axis.per_day, 1)) for day in days if not is_working(day)) if short else (),
        months=tuple(_months(axis, days)),
        weeks=tuple(Band(axis.x(day), 0, str(day.day)) for day in days if day.weekday() == 0) if short else (),
        arrows=tuple(_arrows(rows)),
        today=round(axis.x(today) + axis.per_day / 2, 1) if axis.first <= today <= axis.last else None,
    )


def _rows(project: ProjectView, axis: Axis, today: date) -> Iterator[Row]:
    y: float = HEAD
    for section in project.sections:
        yield Row(y, _short(section.name, 38), section.name)
        y += ROW
        for task in section.tasks:
            yield _task_row(task, y, axis, today)
            y += ROW
        y += GAP


def _task_row(task: TaskView, y: float, axis: Axis, today: date) -> Row:
    label = _short(task.name, 38)
    state = "done" if task.done else "late" if task.late(today) else "open"
    if task.span is None:
        return Row(y, label, task.name, task, state=state)
    first, last = task.span
    if task.milestone:
        return Row(y, label, task.name, task, round(axis.x(last) + axis.per_day / 2, 1), 0, state)
    return Row(y, label, task.name, task, axis.x(first), round(((last - first).days + 1) * axis.per_day, 1), state)


def _months(axis: Axis, days: Sequence[date]) -> Iterator[Band]:
    starts = [day for day in days if day.day == 1 or day == axis.first]
    for start, following in zip(starts, [*starts[1:], axis.last + timedelta(days=1)], strict=True):
        width = axis.x(following) - axis.x(start)
        yield Band(axis.x(start), width, f"{start:%B %Y}" if width > 90 else f"{start:%b}" if width > 28 else "")


def _arrows(rows: Sequence[Row]) -> Iterator[str]:
    """Paths from the end of each task to the start of those that wait for it."""
    placed = [row for row in rows if row.task and row.x is not None]
    by_name: dict[str, list[Row]] = {}
    for row in placed:
        if row.task:
            by_name.setdefault(row.task.name, []).append(row)
    for row in placed:
        for name in row.task.waits_for if row.task else ():
            yield from (_arrow(source, row) for source in by_name.get(name, ()) if source is not row)


def _arrow(source: Row, target: Row) -> str:
    start, end = source.end + (6 if source.width == 0 else 0), (target.x or 0) - (7 if target.width == 0 else 1)
    down = 1 if target.y > source.y else -1
    if end - start >= 10:
        return f"M{start:.1f} {source.middle:.1f}H{start + 5:.1f}V{target.middle:.1f}H{end:.1f}"
    between = target.middle - down * ROW / 2
    return f"M{start:.1f} {source.middle:.1f}h4V{between:.1f}H{end - 6:.1f}V{target.middle:.1f}H{end:.1f}"


def _short(text: str, cells: int) -> str:
    text = plain(text)
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"
