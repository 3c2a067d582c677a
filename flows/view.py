"""What people look at: projects as plain values, for the board, the timeline, the report and the hub. No I/O, no clock."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

Working = Callable[[date], bool]
_SEPARATORS = re.compile(r"[\s._-]+")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task. `waits_for` holds names of other tasks in the project; `assignee` is a name or an e-mail, empty when nobody."""

    key: str
    name: str
    assignee: str = ""
    start_on: date | None = None
    due_on: date | None = None
    done: bool = False
    milestone: bool = False
    waits_for: tuple[str, ...] = ()
    subtasks: tuple[TaskView, ...] = ()
    notes_markdown: str = ""
    url: str = ""

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day, in order; None for a task without dates."""
        days = [day for day in (self.start_on, self.due_on) if day]
        return (min(days), max(days)) if days else None

    def late(self, today: date) -> bool:
        return not self.done and self.due_on is not None and self.due_on < today


@dataclass(frozen=True, slots=True)
class SectionView:
    name: str
    tasks: tuple[TaskView, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectView:
    """One project. `why` says what made it (`rule onboard-won-deals, rules.yaml:29`), `source_url` leads to the CRM, `url` to the tool."""

    key: str
    name: str
    url: str = ""
    customer: str = ""
    context_markdown: str = ""
    owner: str = ""
    status: str = ""
    start_on: date | None = None
    due_on: date | None = None
    sections: tuple[SectionView, ...] = ()
    why: str = ""
    source_url: str = ""
    blueprint: str = ""

    @property
    def tasks(self) -> Iterator[TaskView]:
        return (task for section in self.sections for task in section.tasks)

    @property
    def progress(self) -> tuple[int, int]:
        """Done and all top-level tasks."""
        tasks = list(self.tasks)
        return sum(task.done for task in tasks), len(tasks)

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day anything in the project happens; None when nothing has a date."""
        days = [day for task in self.tasks if task.span for day in task.span]
        days += [day for day in (self.start_on, self.due_on) if day]
        return (min(days), max(days)) if days else None


def weekdays(day: date) -> bool:
    """Monday to Friday: the calendar used where no other is given."""
    return day.weekday() < 5


def plain(text: str) -> str:
    """One line fit for a terminal: no control characters, no direction overrides, no runs of blanks."""
    kept = (" " if char.isspace() else char for char in undirected(text) if char.isspace() or _printable(char))
    return " ".join("".join(kept).split())


def undirected(text: str) -> str:
    """Without the marks that change the direction of other text; right-to-left scripts need none of them."""
    return "".join(char for char in text if char not in _BIDI_CONTROLS) if not text.isascii() else text


def called(person: str) -> str:
    """What people call somebody: a name as it is, `clara.weiss@example.com` → Clara Weiss."""
    local, at, _ = plain(person).partition("@")
    return _SEPARATORS.sub(" ", local).strip().title() if at else local


def initials(person: str) -> str:
    """`Clara Weiss` → CW, `clara.weiss@example.com` → CW, 陈浩然 → 陈."""
    return "".join(word[0] for word in _SEPARATORS.split(called(person))[:2] if word).upper()


def day_month(day: date | None) -> str:
    """`4 Dec`; empty for no day."""
    return f"{day.day} {day:%b}" if day else ""


def _printable(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cs", "Co", "Cn"}
