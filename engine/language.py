"""Jinja2 as this project uses it: a sandbox that reads data only, counts exactly, and keeps text within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2 import Template as Compiled
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.filters import FILTERS, TESTS, ExpressionError, bounded, concat, converter, exact, field_of, plain
from engine.grammar import MAX_DEPTH, depth
from engine.model import Problem

_INLINE = re.compile(r"[\\`*_\[\]<>|~]|&(?=[#\w])")
_LINE_START = re.compile(r"^[ \t]*(?=(#{1,6}(?:\s|$)|[-+=]|\d{1,9}[.)](?:\s|$))?)", re.MULTILINE)
_NUMBERED = re.compile(r"^(\\?)(\d{1,9})([.)])(?=\s|$)", re.MULTILINE)


class Invalid(Exception):
    """An expression that cannot be used. Line and column of each problem count from 1 inside the expression's own text."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        if isinstance(obj, StrictUndefined):
            raise ExpressionError(f"{obj._undefined_name} is not available here")
        return field_of(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return field_of(obj, argument)
        return obj[argument] if obj and -len(obj) <= argument < len(obj) else None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, str) and isinstance(right, str) and operator == "+":
            return bounded(left + right)
        if not isinstance(left, int | Decimal) or not isinstance(right, int | Decimal):
            raise TypeError(f"{operator} needs numbers")
        if operator == "/":
            return Decimal(left) / right
        return super().call_binop(context, operator, left, right)


class Exactly(NodeTransformer):
    """Numbers with a point become exact decimals, joined text is bounded."""

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if not isinstance(node.value, float):
            return node
        return nodes.Filter(nodes.Const(repr(node.value)), "exact", [], [], None, None, lineno=node.lineno)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "concat", [], [], None, None, lineno=node.lineno)


def escape_markdown(text: str) -> str:
    """Text as Markdown that shows exactly that text. Leading white space of a line is dropped, as it would mean a block of code."""
    text = _INLINE.sub(r"\\\g<0>", text)
    text = _LINE_START.sub(lambda found: "\\" if found[1] and not found[1][0].isdigit() else "", text)
    return _NUMBERED.sub(r"\2\\\3", text)


def _finalize_markdown(value: object) -> str:
    return escape_markdown(plain(value)) if isinstance(value, str | list | tuple) else plain(value)


@lru_cache(maxsize=32)
def environment(markdown: bool, rates: tuple[tuple[str, Decimal], ...]) -> Sandbox:
    made = Sandbox(
        undefined=StrictUndefined,
        finalize=_finalize_markdown if markdown else plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        optimized=False,
        cache_size=0,
    )
    made.filters.clear()
    made.filters.update(FILTERS, convert=converter(dict(rates)), exact=exact, concat=concat)
    made.tests.clear()
    made.tests.update(TESTS)
    made.globals.clear()
    return made


def guarded(text: str, limit: int, parse: Callable[[], nodes.Node]) -> nodes.Node:
    """The syntax tree of a text, or Invalid for whatever may be wrong with its form."""
    if len(text) > limit:
        raise Invalid([Problem(f"the text has {len(text)} characters; {limit} are allowed", line=1, column=1)])
    try:
        tree = parse()
    except TemplateSyntaxError as error:
        raise Invalid([_syntax(text, error)]) from None
    except (RecursionError, MemoryError):
        raise Invalid([Problem("the expression is nested too deeply", line=1, column=1)]) from None
    except (ValueError, ArithmeticError, UnicodeError, AssertionError, SyntaxError) as error:
        raise Invalid([Problem(f"the expression cannot be read: {str(error)[:100]}", line=1, column=1)]) from None
    if depth(tree) > MAX_DEPTH:
        raise Invalid([Problem("the expression is nested too deeply", line=1, column=1)])
    _literals(tree)
    return tree


def _literals(tree: nodes.Node) -> None:
    for node in tree.find_all(nodes.Const):
        if isinstance(node.value, int | float) and not abs(node.value) < 10**15:
            raise Invalid([Problem("the number is too large", line=node.lineno, column=1)])


def _syntax(text: str, error: TemplateSyntaxError) -> Problem:
    lines = text.splitlines() or [""]
    line = min(max(error.lineno, 1), len(lines))
    column = len(lines[line - 1]) - len(lines[line - 1].lstrip()) + 1
    return Problem(f"the expression cannot be read: {(error.message or '')[:200]}", line=line, column=column)


def generate(environment: Sandbox, tree: nodes.Template) -> Compiled:
    try:
        tree.set_environment(environment)
        return Compiled.from_code(environment, environment.compile(tree), {})
    except (RecursionError, MemoryError, SyntaxError):
        raise Invalid([Problem("the expression is nested too deeply", line=1, column=1)]) from None
