"""Problems of one document, collected while it is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from engine import dates, expressions
from engine.calendar import Calendar, UnknownCalendar
from engine.document import Document, Path
from engine.hints import nearest, suggest
from engine.model import Problem

T = TypeVar("T")
_EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]+")


class Findings:
    """Where the checks of one document leave what they find, each with its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def refuse(self, message: str, path: Path, hint: str = "", *, at_key: bool = False) -> None:
        self.problems.append(self.document.problem(message, path, hint=hint, at_key=at_key))

    def in_order(self) -> list[Problem]:
        """The problems in the order of the file, each once."""
        return sorted(dict.fromkeys(self.problems), key=lambda problem: (problem.line, problem.column))

    def known(self, what: str, word: str, allowed: Iterable[str], path: Path, *, at_key: bool = False) -> bool:
        """Whether `word` is one of `allowed`; a problem when it is not."""
        words = list(allowed)
        if word not in words:
            self.refuse(f"unknown {what} {word}", path, suggest(word, words), at_key=at_key)
        return word in words

    def unique(self, what: str, words: Iterable[tuple[str, Path]]) -> None:
        taken: dict[str, Path] = {}
        for word, path in words:
            if word in taken:
                line = self.document.place(taken[word])[0]
                self.refuse(f"the {what} {word} is taken already, on line {line}", path)
            taken.setdefault(word, path)

    def compiled(self, path: Path, compile_text: Callable[[], T]) -> T | None:
        """What `compile_text` makes of the text at `path`; its problems get their place in the file."""
        try:
            return compile_text()
        except (expressions.Invalid, dates.Invalid) as invalid:
            for problem in invalid.problems:
                line, column = self.document.inside(path, problem.line, problem.column)
                self.problems.append(replace(problem, file=self.document.file, line=line, column=column, path=path))
            return None

    def zone(self, name: str, path: Path) -> ZoneInfo | None:
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            close = nearest(name, available_timezones())
            self.refuse(f"unknown time zone {name}", path, f"did you mean {close}?" if close else "use a name such as Europe/Berlin")
            return None

    def calendar(self, name: str, path: Path) -> Calendar | None:
        try:
            return Calendar.named(name)
        except UnknownCalendar as unknown:
            self.refuse(str(unknown), path, unknown.hint)
            return None

    def email(self, text: str, path: Path, *, at_key: bool = False) -> None:
        if not _EMAIL.fullmatch(text):
            self.refuse(f"'{text[:60]}' is not an e-mail address", path, at_key=at_key)


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text
