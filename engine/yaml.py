"""YAML text with positions: what is written, and where. YAML 1.2, plain data only.

Keys are always text (`on:` is the word "on"). Of plain scalars, whole numbers become int, numbers with a point or an exponent exact Decimal,
`2026-01-31` a date, `true` and `false` bool, `~` and nothing None; everything else, and whatever stands in quotes, is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from engine.model import Problem

Path = tuple[str | int, ...]
Place = tuple[int, int]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 100_000
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,2})?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS: Mapping[str, Any] = dict.fromkeys(("", "~", "null", "Null", "NULL")) | {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Invalid(Exception):
    """The text is not what it should be. Every problem has its file, line and column."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a scalar stands in the source, and how it is quoted ("" for plain)."""

    start: int
    end: int
    style: str


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says and where. `places` are the positions of values, `keys` those of keys; lines and columns count from 1."""

    data: Any
    file: str
    places: Mapping[Path, Place]
    keys: Mapping[Path, Place]
    spans: Mapping[Path, Span]
    source: str

    def place(self, path: Path) -> Place:
        """Where the value at a path stands; that of the nearest known parent for a path that is not there."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def key_place(self, path: Path) -> Place:
        return self.keys.get(path) or self.place(path)

    def problem(self, message: str, path: Path, *, hint: str = "", at_key: bool = False) -> Problem:
        line, column = self.key_place(path) if at_key else self.place(path)
        return Problem(message, self.file, line, column, hint, path)

    def inside(self, path: Path, line: int, column: int) -> Place:
        """Where a spot of a text (line and column from 1 inside the text) stands in the file, however the text is quoted."""
        span, text = self.spans.get(path), self.at(path)
        if span is None or not isinstance(text, str):
            return self.place(path)
        offset = sum(len(passed) for passed in text.splitlines(keepends=True)[: line - 1]) + column - 1
        index = _align(text, max(offset, 0), self.source, span)
        return self._line_and_column(index) if index is not None else self.place(path)

    def at(self, path: Path) -> Any:
        """The value at a path; None when there is nothing."""
        found = self.data
        for part in path:
            try:
                found = found[part]
            except (LookupError, TypeError):
                return None
        return found

    def _line_and_column(self, index: int) -> Place:
        return self.source.count("\n", 0, index) + 1, index - (self.source.rfind("\n", 0, index) + 1) + 1


def _align(text: str, offset: int, source: str, span: Span) -> int | None:
    """Walks text and source side by side, white space apart, because folding and indentation only differ in that."""
    index = source.find("\n", span.start) + 1 if span.style in ("|", ">") else span.start + bool(span.style)
    for character in text[:offset]:
        if not character.isspace():
            index = source.find(character, index, span.end) + 1
            if not index:
                return None
    if offset < len(text) and not text[offset].isspace():
        index = source.find(text[offset], index, span.end)
    return index if index >= 0 else None


def parse(text: str | bytes, file: str) -> Document:
    """Reads one document. Raises Invalid and nothing else, whatever the text."""
    source = _readable(text, file).removeprefix("\ufeff")
    reader = _Reader(file, YAML(typ="safe").parse(source))
    try:
        data = reader.document()
    except MarkedYAMLError as error:
        raise Invalid([_syntax(error, file, source)]) from None
    except YAMLError as error:
        raise Invalid([Problem(f"this is not YAML: {str(error)[:200]}", file, 1, 1)]) from None
    return Document(data, file, reader.places, reader.keys, reader.spans, source)


def _readable(text: str | bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        raise Invalid([Problem(f"the file is larger than {MAX_BYTES} bytes", file, 1, 1)])
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        place = (before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        raise Invalid([Problem("the file is not UTF-8", file, *place, "save it as UTF-8")]) from None
    if found := _UNREADABLE.search(decoded):
        before_text = decoded[: found.start()]
        place = (before_text.count("\n") + 1, found.start() - (before_text.rfind("\n") + 1) + 1)
        raise Invalid([Problem(f"the character U+{ord(found[0]):04X} cannot stand in YAML", file, *place, "remove it")])
    return decoded


_HINTS = (
    ("mapping values are not allowed", "put text that holds ': ' in quotes, or mend the indentation"),
    ("did not find expected ',' or", "put text that begins with { or [ in quotes"),
    ("expected ',' or", "put text that begins with { or [ in quotes"),
    ("did not find expected key", "mend the indentation, or put the text in quotes"),
    ("did not find expected '-' indicator", "mend the indentation"),
    ("unexpected end of stream", "close the quote"),
    ("undefined alias", "put text that begins with * in quotes"),
    ("alphabetic or numeric", "put text that begins with * or & in quotes"),
    ("cannot start any token", "put text that begins with @, ` or % in quotes"),
)


def _syntax(error: MarkedYAMLError, file: str, source: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    words = " ".join(str(error.problem or error.context or "unknown problem").split())[:200]
    lines = source.split("\n")
    tabbed = 0 < line <= len(lines) and "\t" in lines[line - 1][: column + 1]
    hint = "indent with spaces, not with tabs" if tabbed else next((hint for part, hint in _HINTS if part in words), "")
    return Problem(f"this is not YAML: {words}", file, line, column, hint)


@dataclass(slots=True)
class _Built:
    """A value and how many nodes it stands for once every alias is followed."""

    value: Any
    size: int


class _Reader:
    """Builds data out of parser events, keeping count of depth and size, so that no text can make it large."""

    def __init__(self, file: str, events: Iterator[Event]) -> None:
        self.file = file
        self.events = events
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.spans: dict[Path, Span] = {}
        self.anchors: dict[str, _Built] = {}
        self.problems: list[Problem] = []
        self.size = 0

    def document(self) -> Any:
        """The data of the only document; None when there is none."""
        data, documents = None, 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.stop("there is more than one document", event, "remove the line '---'")
                data = self.node(next(self.events), ()).value
        if self.problems:
            raise Invalid(self.problems)
        return data

    def stop(self, message: str, event: Event, hint: str = "") -> Invalid:
        self.refuse(message, event, hint)
        return Invalid(self.problems)

    def refuse(self, message: str, event: Event, hint: str = "") -> None:
        self.problems.append(Problem(message, self.file, *_place(event), hint))

    def node(self, event: Any, path: Path) -> _Built:
        if len(path) >= MAX_DEPTH:
            raise self.stop(f"the nesting is deeper than {MAX_DEPTH}", event)
        self.places[path] = _place(event)
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if event.tag is not None and event.tag != "!":
            self.refuse(f"tags such as {event.tag[:40]} are not available", event, "remove it, or put the text in quotes")
        before = self.size
        self.count(1, event)
        value = self.value(event, path)
        built = _Built(value, self.size - before)
        if event.anchor:
            self.anchors[event.anchor] = built
        return built

    def alias(self, event: AliasEvent) -> _Built:
        built = self.anchors.get(event.anchor)
        if built is None:
            raise self.stop(f"*{event.anchor} stands for nothing yet", event, "put text that begins with * in quotes")
        self.count(built.size, event)
        return built

    def count(self, nodes: int, event: Event) -> None:
        self.size += nodes
        if self.size > MAX_NODES:
            raise self.stop(f"the file holds more than {MAX_NODES} values", event)

    def value(self, event: Any, path: Path) -> Any:
        if isinstance(event, SequenceStartEvent):
            return self.sequence(path)
        if isinstance(event, MappingStartEvent):
            return self.mapping(path)
        self.spans[path] = Span(event.start_mark.index, event.end_mark.index, event.style or "")
        return scalar(event.value) if not event.style else event.value

    def sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            found.append(self.node(event, (*path, len(found))).value)
        return found

    def mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self.key(event, found)
            self.keys[*path, key] = _place(event)
            found[key] = self.node(next(self.events), (*path, key)).value
        return found

    def key(self, event: Event, taken: Mapping[str, Any]) -> str:
        if not isinstance(event, ScalarEvent):
            raise self.stop("a key has to be plain text", event, "put text that begins with {, [, * or ? in quotes")
        if event.value in taken:
            self.refuse(f"the key {event.value[:60]} stands here twice", event, "remove one of them")
        if event.value == "<<" and not event.style:
            self.refuse("merge keys (<<) are not available", event, "write the keys out")
        return str(event.value)


def _place(event: Event) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def scalar(text: str) -> Any:
    """What a plain scalar means. Numbers that would lose digits or leading zeros stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and not _LEADING_ZERO.match(text) and any(mark in text for mark in ".eE"):
        return Decimal(text)
    if _DATE.fullmatch(text):
        return _date(text)
    return text


def _date(text: str) -> date | str:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text
