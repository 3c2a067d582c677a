"""From text to checked values: `parse` reads YAML with positions, `build` makes a model of it, `resolve` fills in secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from engine.hints import nearest, suggest
from engine.model import Problem
from engine.yaml import Document, Invalid, Path, parse

__all__ = ["Document", "Invalid", "Path", "build", "parse", "resolve"]

M = TypeVar("M", bound=BaseModel)
_REFERENCE = re.compile(r"\$(\$)?\{([^}]*)\}")
_TAG = re.compile(r"do:(create|comment|set_status|notify)|field:(name|source|flags)|\[key\]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def build(document: Document, model: type[M]) -> tuple[M | None, list[Problem]]:
    """A model of the document's data, or None and everything that is wrong with it, at its place in the file."""
    if not isinstance(document.data, dict):
        what = "the file is empty" if document.data is None else "the file should be a mapping of keys"
        return None, [document.problem(what, (), hint=f"it begins with {', '.join(_keys(model)[:3])}")]
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        return None, [_problem(document, model, detail) for detail in _without_echoes(model, details)]


def _without_echoes(model: type[BaseModel], details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Errors, but not the missing keys that are there, only misspelt."""
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(loc[:-1], nearest(str(loc[-1]), _keys(_model_at(model, loc[:-1])))) for loc in unknown}
    return (detail for detail in details if detail["type"] != "missing" or (detail["loc"][:-1], detail["loc"][-1]) not in meant)


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    loc = detail["loc"]
    path = _path(loc)
    if detail["type"] == "extra_forbidden":
        hint = suggest(str(loc[-1]), _keys(_model_at(model, loc[:-1])))
        return document.problem(f"unknown key '{loc[-1]}'", path, hint=hint, at_key=True)
    if detail["type"] == "missing":
        return document.problem(f"missing key '{loc[-1]}'", path[:-1])
    if loc and loc[-1] == "[key]":
        return document.problem(*_message(detail, path[:-1]), at_key=True)
    return document.problem(*_message(detail, path))


def _path(loc: tuple[str | int, ...]) -> Path:
    """The place of an error without the words that pydantic puts in."""
    return tuple(part for part in loc if not (isinstance(part, str) and _TAG.fullmatch(part)))


def _message(detail: ErrorDetails, path: Path) -> tuple[str, Path]:
    return f"{_subject(path)} {_complaint(detail)}", path


def _subject(path: Path) -> str:
    names = [part for part in path if isinstance(part, str)]
    return f"'{names[-1]}'" if names else "the value"


_COMPLAINTS = {
    "string_type": "should be text; put it in quotes",
    "list_type": "should be a list: [one, two], or one '- …' a line",
    "dict_type": "should be a mapping of keys",
    "model_type": "should be a mapping of keys",
    "model_attributes_type": "should be a mapping of keys",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "decimal_parsing": "should be a number",
    "decimal_type": "should be a number",
    "string_too_short": "is too short or empty",
    "too_short": "should not be empty",
}


def _complaint(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _COMPLAINTS:
        return _COMPLAINTS[kind]
    if kind == "literal_error":
        return _not_one_of(detail["input"], str(context.get("expected", "")))
    if kind == "string_pattern_mismatch":
        return _not_like(detail["input"], str(context.get("pattern", "")))
    if kind.startswith("date"):
        return "should be a date such as 2026-01-31"
    return detail["msg"].removeprefix("Value error, ").replace("Input should", "should")


def _not_one_of(value: object, expected: str) -> str:
    allowed = re.findall(r"'([^']*)'", expected) or [expected]
    close = nearest(str(value), allowed)
    meant = f"; did you mean {close}?" if close else ""
    return f"is '{str(value)[:60]}'{meant}; allowed: {', '.join(allowed)}"


def _not_like(value: object, pattern: str) -> str:
    wanted = "blueprint/slot" if "/" in pattern else "lower-case letters, digits, - and _, at most 64"
    return f"is '{str(value)[:60]}'; it is written as {wanted}"


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _model_at(model: Any, loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that an error's place lies in."""
    for part in loc:
        model = _inner(_bare(model), part)
    model = _bare(model)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _inner(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return next((info.annotation for name, info in kind.model_fields.items() if part in (name, info.alias)), None)
    if get_origin(kind) in (Union, UnionType):
        tagged = [option for option in get_args(kind) if Tag(str(part)) in getattr(option, "__metadata__", ())]
        return tagged[0] if tagged else None
    arguments = get_args(kind)
    return arguments[-1] if arguments else None


def _bare(kind: Any) -> Any:
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    options = [option for option in get_args(kind) if option is not NoneType] if get_origin(kind) in (Union, UnionType) else []
    return _bare(options[0]) if len(options) == 1 else kind


def resolve(value: Any, env: Mapping[str, str], read_file: Callable[[str], str], *, at: Path = ()) -> tuple[Any, list[Problem]]:
    """`value` with `${NAME}` taken from `env`, `${file:PATH}` read, and `$${` turned into `${`, in texts at any depth.

    `read_file` raises OSError or ValueError for what it cannot read; a final line break of a file is dropped. `at` is the path of `value`
    in its document: problems carry the path of the text they stand in, never a resolved value.
    """
    if isinstance(value, str):
        return _resolve_text(value, env, read_file, at)
    problems: list[Problem] = []
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found[key], wrong = resolve(inner, env, read_file, at=(*at, key))
            problems += wrong
        return found, problems
    if isinstance(value, list):
        pairs = [resolve(inner, env, read_file, at=(*at, number)) for number, inner in enumerate(value)]
        return [inner for inner, _ in pairs], [problem for _, wrong in pairs for problem in wrong]
    return value, problems


def _resolve_text(text: str, env: Mapping[str, str], read_file: Callable[[str], str], at: Path) -> tuple[str, list[Problem]]:
    problems: list[Problem] = []

    def fill(found: re.Match[str]) -> str:
        if found[1]:
            return found[0][1:]
        try:
            return _referred(found[2], env, read_file)
        except LookupError as error:
            problems.append(Problem(str(error.args[0]), path=at))
            return ""

    return _REFERENCE.sub(fill, text), problems


def _referred(name: str, env: Mapping[str, str], read_file: Callable[[str], str]) -> str:
    if name.startswith("file:"):
        try:
            return read_file(name.removeprefix("file:").strip()).rstrip("\r\n")
        except (OSError, ValueError):
            raise LookupError(f"the file {name.removeprefix('file:').strip()} cannot be read") from None
    if not _VARIABLE.fullmatch(name):
        raise LookupError(f"${{{name[:60]}}} is neither a variable nor file:PATH; write $${{ for a plain ${{")
    if name not in env:
        raise LookupError(f"the environment variable {name} is not set, nor is it in .env")
    return env[name]
