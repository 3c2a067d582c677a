"""The language of conditions and templates: Jinja2 in an immutable sandbox, checked against the models when it is loaded.

Conditions (`when:`) are one expression. Templates (names, notes, assignees) are text with `{{ … }}`, `{% if … %}` and `{% for … in … %}`.
Neither can call anything but filters, reach anything but the fields of the records in scope, or grow beyond its limits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.parser import Parser
from pydantic import BaseModel

from engine.filters import FILTERS, MAX_TEXT, ExpressionError, converter, path_of, shown
from engine.grammar import Checker
from engine.language import Exactly, Invalid, Sandbox, environment, escape_markdown, generate, guarded
from engine.model import Problem
from engine.shapes import Custom, Shape, Values, shape_at, shape_of
from engine.spelling import paths, source

__all__ = [
    "Condition",
    "ExpressionError",
    "Invalid",
    "Loop",
    "Scope",
    "Shape",
    "Template",
    "Verdict",
    "compile_condition",
    "compile_loop",
    "compile_template",
    "escape_markdown",
]

MAX_CONDITION = 4_000
MAX_TEMPLATE = 32_000
_LOOP = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s+in\s+([A-Za-z_][\w.]*)\s*")


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """What an expression may name. Values are types (`Deal`, `str`) or shapes.

    `custom` gives the names that mappings add ("deal", "customer", "feedback", "contacts", "line_items"), `values` the only values of a field
    (`customer.tier`) where mappings close them, `rates` what one unit of each currency is worth in a common one.
    """

    names: Mapping[str, type | Shape]
    custom: Custom = field(default_factory=dict)
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", {name: shape_of(of, self.custom, self.values) for name, of in self.names.items()})

    def with_name(self, name: str, shape: Shape) -> Scope:
        return Scope({**self.shapes, name: shape}, rates=self.rates)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition said, why, and the values it looked at."""

    passed: bool
    reason: str
    seen: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loop:
    """`item in deal.line_items`: a name, the list it runs over, and the scope inside."""

    name: str
    path: str
    scope: Scope

    def items(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(path_of(values, self.path) or ())


def _environment_of(scope: Scope, *, markdown: bool = False) -> Sandbox:
    return environment(markdown, tuple(sorted(scope.rates.items())))


def _checker(text: str, scope: Scope) -> Checker:
    rates = frozenset(scope.rates)
    return Checker(scope.shapes, text, {**FILTERS, "convert": converter(scope.rates)}, rates)


# Conditions


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a condition: "and" / "or" over parts, or a leaf with its own code."""

    text: str
    joined: str = ""
    parts: tuple[_Part, ...] = ()
    paths: tuple[str, ...] = ()
    code: Compiled | None = None


_Told = tuple[bool | None, str]


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. An ordering or sum over an empty field is not an error: that part just does not hold."""

    text: str
    paths: tuple[str, ...]
    _code: Compiled
    _part: _Part

    def passes(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds. ExpressionError when the values cannot be worked with."""
        try:
            return bool(_value(self._code, values))
        except TypeError:
            return self.evaluate(values).passed

    def evaluate(self, values: Mapping[str, Any]) -> Verdict:
        """Whether it holds, which part decided, and the values it looked at. ExpressionError like `passes`."""
        passed, reason = _tell(self._part, values)
        return Verdict(bool(passed), reason, {path: _noted(path_of(values, path)) for path in self.paths})


def _value(code: Compiled, values: Mapping[str, Any]) -> Any:
    context = code.new_context(dict(values), shared=True)
    try:
        for _ in code.root_render_func(context):
            pass
    except TemplateRuntimeError as error:
        raise ExpressionError(str(error)) from None
    except (ArithmeticError, ValueError, LookupError, AttributeError) as error:
        raise ExpressionError(_failure(error)) from None
    return context.vars["result"]


def _failure(error: Exception) -> str:
    return "division by zero" if isinstance(error, ZeroDivisionError) else f"{type(error).__name__}: {str(error)[:200]}"


def _tell(part: _Part, values: Mapping[str, Any]) -> _Told:
    if part.code is not None:
        return _tell_leaf(part, part.code, values)
    decisive = part.joined == "or"
    told: list[_Told] = []
    for inner in part.parts:
        answer = _tell(inner, values)
        if bool(answer[0]) is decisive:
            return answer
        told.append(answer)
    return not decisive, (" and " if not decisive else "; ").join(reason for _, reason in told)


def _tell_leaf(part: _Part, code: Compiled, values: Mapping[str, Any]) -> _Told:
    try:
        held = bool(_value(code, values))
    except ExpressionError as error:
        raise ExpressionError(f"{part.text}: {error}") from None
    except TypeError as error:
        empty = [path for path in part.paths if path_of(values, path) is None]
        if empty:
            return None, " and ".join(f"{path} is empty" for path in empty)
        raise ExpressionError(f"{part.text}: {error}") from None
    seen = ", ".join(_seen(path, path_of(values, path)) for path in part.paths)
    return held, f"{part.text} is {'true' if held else 'false'}" + (f" ({seen})" if seen else "")


def _seen(path: str, value: object) -> str:
    if value is None or value == "":
        return f"{path} is empty"
    return f"{path} has {len(value)}" if isinstance(value, tuple) else f"{path} = {shown(_noted(value))}"


def _noted(value: object) -> object:
    """A value as it is told and kept: of a record its name, of a list of records how many."""
    if isinstance(value, tuple):
        return len(value)
    return getattr(value, "name", "") or getattr(value, "id", "") if isinstance(value, BaseModel) else value


def _part(tree: nodes.Node, environment: Sandbox) -> _Part:
    if isinstance(tree, nodes.And | nodes.Or):
        word = "and" if isinstance(tree, nodes.And) else "or"
        parts = tuple(_part(inner, environment) for inner in _flat(tree, type(tree)))
        return _Part(source(tree), word, parts)
    return _Part(source(tree), paths=paths(tree), code=_condition_code(tree, environment))


def _flat(tree: nodes.Node, kind: type[nodes.And | nodes.Or]) -> list[nodes.Node]:
    if not isinstance(tree, kind):
        return [tree]
    return [*_flat(tree.left, kind), *_flat(tree.right, kind)]


def _condition_code(tree: nodes.Node, environment: Sandbox) -> Compiled:
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), Exactly().visit(tree), lineno=1)]
    return generate(environment, nodes.Template(body, lineno=1))


def compile_condition(text: str, scope: Scope) -> Condition:
    """A condition, checked against what is in scope. Raises Invalid and nothing else."""
    environment = _environment_of(scope)
    tree = guarded(text, MAX_CONDITION, lambda: _expression(text, environment))
    checker = _checker(text, scope)
    checker.expression(tree)
    if checker.problems:
        raise Invalid(checker.problems)
    part = _part(tree, environment)
    code = part.code or _condition_code(tree, environment)
    return Condition(text, paths(tree), code, part)


def _expression(text: str, environment: Sandbox) -> nodes.Node:
    if "{{" in text or "{%" in text:
        raise TemplateSyntaxError("a condition is written without {{ }}", 1)
    parser = Parser(environment, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError(f"unexpected {parser.stream.current.value!r} after the expression", parser.stream.current.lineno)
    return tree


# Templates


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. A constant one holds no expression and renders to its own text."""

    text: str
    paths: tuple[str, ...] = ()
    _code: Compiled | None = None

    @property
    def is_constant(self) -> bool:
        return self._code is None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text, at most 65,536 characters. ExpressionError when the values cannot be worked with."""
        if self._code is None:
            return self.text
        return _rendered(self._code, values)


def _rendered(code: Compiled, values: Mapping[str, Any]) -> str:
    parts, size = [], 0
    try:
        for part in code.root_render_func(code.new_context(dict(values), shared=True)):
            parts.append(part)
            size += len(part)
            if size > MAX_TEXT:
                raise ExpressionError(f"the text grows beyond {MAX_TEXT} characters")
    except TemplateRuntimeError as error:
        raise ExpressionError(str(error)) from None
    except (ArithmeticError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ExpressionError(_failure(error)) from None
    return "".join(parts)


def compile_template(text: str, scope: Scope, *, markdown: bool = False) -> Template:
    """A template, checked against what is in scope; a Markdown one escapes what it inserts. Raises Invalid and nothing else."""
    if len(text) <= MAX_TEMPLATE and not any(mark in text for mark in ("{{", "{%", "{#")):
        return Template(text)
    environment = _environment_of(scope, markdown=markdown)
    tree = guarded(text, MAX_TEMPLATE, lambda: environment.parse(text))
    assert isinstance(tree, nodes.Template)  # noqa: S101 - what Jinja's parser returns
    checker = _checker(text, scope)
    checker.template(tree.body)
    if checker.problems:
        raise Invalid(checker.problems)
    return Template(text, paths(tree), generate(environment, Exactly().visit(tree)))


def compile_loop(text: str, scope: Scope) -> Loop:
    """`item in deal.line_items`. Raises Invalid and nothing else."""
    found = _LOOP.fullmatch(text) if len(text) <= 200 else None
    if not found:
        raise Invalid([Problem("a loop is written like 'item in deal.line_items'", line=1, column=1)])
    name, path = found.groups()
    shape = shape_at(scope.shapes, path)
    if shape is None or shape.of is None:
        lists = _lists(scope.shapes)
        raise Invalid([Problem(f"{path} is not a list", line=1, column=found.start(2) + 1, hint=f"lists: {', '.join(lists)}")])
    if name in scope.shapes or name == "loop":
        raise Invalid([Problem(f"{name} already means something else here", line=1, column=found.start(1) + 1)])
    return Loop(name, path, scope.with_name(name, shape.of))


def _lists(shapes: Mapping[str, Shape]) -> Collection[str]:
    return [f"{name}.{inner}" for name, shape in shapes.items() for inner, of in shape.fields.items() if of.kind == "list"]
