"""Which expressions are allowed, and what is wrong with the others: a walk over Jinja's syntax tree before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from jinja2 import nodes

from engine.filters import TESTS
from engine.hints import suggest
from engine.model import Problem
from engine.shapes import ANY, LOOP, NUMBER, TEXT, TRUTH, Shape
from engine.spelling import locate, path, paths, source

MAX_DEPTH = 50
MAX_LOOPS = 2
_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%"}
_NUMERIC = frozenset({"abs", "convert", "days_until", "float", "int", "length", "round", "sum"})
_KINDS = {"text": "text", "number": "a number", "truth": "true or false", "day": "a date", "moment": "a moment", "list": "a list"}
_LOOP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def depth(tree: nodes.Node) -> int:
    """How deep a tree is, found without recursion because it may be very deep."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += [(child, level + 1) for child in node.iter_child_nodes()]
    return deepest


@dataclass(slots=True)
class Checker:
    """Walks one tree and collects its problems. `scope` gives the shape of each name; `text` is what was written."""

    scope: Mapping[str, Shape]
    text: str
    filters: Mapping[str, Callable[..., Any]]
    currencies: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    loops: int = 0

    def refuse(self, node: nodes.Node, message: str, hint: str = "", *, word: str = "", after: str = "") -> Shape:
        line, column = locate(self.text, node.lineno, word, after)
        self.problems.append(Problem(message, line=line, column=column, hint=hint))
        return ANY

    def template(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            self._statement(node)

    def _statement(self, node: nodes.Node) -> None:
        match node:
            case nodes.TemplateData():
                pass
            case nodes.Output():
                for part in node.nodes:
                    self._output(part)
            case nodes.If():
                self.expression(node.test)
                self.template([*node.body, *node.elif_, *node.else_])
            case nodes.For():
                self._loop(node)
            case _:
                word = type(node).__name__.lower()
                self.refuse(node, f"'{word}' is not available in templates", "use {{ … }}, {% if … %} and {% for … in … %}")

    def _output(self, node: nodes.Expr) -> None:
        if isinstance(node, nodes.TemplateData):
            return
        shape = self.expression(node)
        if shape.kind == "record" or (shape.of and shape.of.kind == "record"):
            name = path(node) or "this"
            what = "a list of records" if shape.of else "a record"
            self.refuse(node, f"{name} is {what}, not text", "name one of its fields", word=name.split(".")[-1])

    def _loop(self, node: nodes.For) -> None:
        of = self.expression(node.iter).of
        if not path(node.iter) or of is None or node.recursive:
            self.refuse(node, "a loop goes over a list of the record, such as deal.line_items")
        if not isinstance(node.target, nodes.Name) or not _LOOP_NAME.fullmatch(node.target.name) or node.target.name in self.scope:
            self.refuse(node, "a loop needs one new name for its item")
            return
        if self.loops == MAX_LOOPS:
            self.refuse(node, f"loops nest at most {MAX_LOOPS} deep")
            return
        outer, self.loops = self.scope, self.loops + 1
        self.scope = {**outer, node.target.name: of or ANY, "loop": LOOP}
        if node.test:
            self.expression(node.test)
        self.template([*node.body, *node.else_])
        self.scope, self.loops = outer, self.loops - 1

    def expression(self, node: nodes.Node) -> Shape:  # noqa: PLR0912 - one branch for each kind of node
        """The shape of an expression; what is wrong with it goes to `problems`."""
        match node:
            case nodes.Const():
                return _constant(node.value)
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._field(node, node.node, node.attr)
            case nodes.Getitem():
                return self._item(node)
            case nodes.Compare():
                return self._comparison(node)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Test():
                return self._test(node)
            case nodes.CondExpr():
                return self._choice(node)
            case nodes.And() | nodes.Or():
                shapes = [self.expression(child) for child in (node.left, node.right)]
                return shapes[0] if shapes[0].kind == shapes[1].kind else ANY
            case nodes.Not():
                self.expression(node.node)
                return TRUTH
            case nodes.Neg() | nodes.Pos():
                return self.expression(node.node)
            case nodes.BinExpr() if node.operator in _BINARY.values():
                return self._arithmetic(node)
            case nodes.List() | nodes.Tuple():
                shapes = [self.expression(item) for item in node.items]
                return Shape("list", of=shapes[0] if shapes else ANY)
            case nodes.Concat():
                for part in node.nodes:
                    self.expression(part)
                return TEXT
            case nodes.Call():
                return self.refuse(node, "calls are not available", "filters are: deal.name | upper")
        return self.refuse(node, f"{_spelling(node)} is not available in expressions")

    def _name(self, node: nodes.Name) -> Shape:
        if node.name in self.scope:
            return self.scope[node.name]
        return self.refuse(node, f"unknown name {node.name}", suggest(node.name, self.scope), word=node.name)

    def _field(self, node: nodes.Node, owner: nodes.Node, name: str) -> Shape:
        shape = self.expression(owner)
        if shape.kind == "any":
            return self._opaque(node, owner, name)
        if name in shape.fields:
            return shape.fields[name]
        whole = f"{path(owner) or 'this'}.{name}"
        last = path(owner).rpartition(".")[2]
        if shape.kind == "list":
            hint = f"loop over it, or use {path(owner)} | map(attribute='{name}')"
            return self.refuse(node, f"{path(owner) or 'this'} is a list and has no field {name}", hint, word=name, after=last)
        if shape.kind != "record":
            return self.refuse(node, f"unknown field {whole}: {path(owner) or 'this'} is {_KINDS[shape.kind]}", word=name, after=last)
        return self.refuse(node, f"unknown field {whole}", suggest(name, shape.fields), word=name, after=last)

    def _opaque(self, node: nodes.Node, owner: nodes.Node, name: str) -> Shape:
        # one problem is enough where the owner itself was refused
        known = path(owner).split(".")[0] in self.scope and not self.problems
        return self.refuse(node, f"{path(owner)} has no fields", word=name) if known else ANY

    def _item(self, node: nodes.Getitem) -> Shape:
        match node.arg:
            case nodes.Const(value=str(name)):
                return self._field(node, node.node, name)
            case nodes.Const(value=int()):
                shape = self.expression(node.node)
                if shape.of:
                    return shape.of
        return self.refuse(node, "only a field name or a number may stand in [ ]")

    def _arithmetic(self, node: nodes.BinExpr) -> Shape:
        left, right = self.expression(node.left), self.expression(node.right)
        kinds = {left.kind, right.kind} - {"any"}
        if node.operator == "+" and kinds == {"text"}:
            return TEXT
        if kinds - {"number"}:
            odd = next(shape.kind for shape in (left, right) if shape.kind not in ("any", "number"))
            hint = "join text with ~" if odd == "text" else "days_until counts days" if odd in ("day", "moment") else ""
            return self.refuse(node, f"{node.operator} needs numbers, not {_KINDS.get(odd, odd)}", hint)
        return NUMBER if kinds else ANY

    def _comparison(self, node: nodes.Compare) -> Shape:
        left, left_shape = node.expr, self.expression(node.expr)
        for operand in node.ops:
            right_shape = self.expression(operand.expr)
            if operand.op in ("in", "notin"):
                for option in getattr(operand.expr, "items", ()):
                    self._possible(left, left_shape, option)
            else:
                self._comparable(left, left_shape, operand.expr, right_shape)
            left, left_shape = operand.expr, right_shape
        return TRUTH

    def _comparable(self, left: nodes.Expr, left_shape: Shape, right: nodes.Expr, right_shape: Shape) -> None:
        if left_shape.kind != right_shape.kind and "any" not in (left_shape.kind, right_shape.kind):
            words = f"{source(left)} is {_KINDS.get(left_shape.kind, 'a record')}, {source(right)} is "
            dated = {left_shape.kind, right_shape.kind} & {"day", "moment"}
            hint = "compare dates as text: deal.close_date | date >= '2026-01-31'" if dated else ""
            word = next(iter((*paths(left), *paths(right))), "").rpartition(".")[2]
            self.refuse(left, words + _KINDS.get(right_shape.kind, "a record"), hint, word=word)
        self._possible(left, left_shape, right)
        self._possible(right, right_shape, left)

    def _possible(self, node: nodes.Expr, shape: Shape, other: nodes.Expr) -> None:
        value = other.value if isinstance(other, nodes.Const) else None
        if shape.values and isinstance(value, str) and value not in shape.values:
            self.refuse(other, f"{source(node)} is never '{value}'", suggest(value, shape.values), word=value)

    def _choice(self, node: nodes.CondExpr) -> Shape:
        self.expression(node.test)
        shape = self.expression(node.expr1)
        other = self.expression(node.expr2) if node.expr2 else shape
        return shape if shape.kind == other.kind else ANY

    def _filter(self, node: nodes.Filter) -> Shape:
        if node.node is None:
            return self.refuse(node, "filter blocks are not available")
        shape = self.expression(node.node)
        if node.name not in self.filters:
            return self.refuse(node, f"unknown filter {node.name}", suggest(node.name, self.filters), word=node.name)
        self._arguments(node, self.filters[node.name])
        return self._filtered(node, shape)

    def _filtered(self, node: nodes.Filter, shape: Shape) -> Shape:
        inner = self._attribute(node, shape)
        if node.name == "convert":
            self._currencies(node)
        if node.name == "default":
            return Shape(shape.kind, of=shape.of, fields=shape.fields)
        if node.name in ("first", "last"):
            return shape.of or ANY
        if node.name == "map":
            return Shape("list", of=inner)
        if node.name == "selectattr":
            return shape
        return NUMBER if node.name in _NUMERIC else TEXT

    def _attribute(self, node: nodes.Filter, shape: Shape) -> Shape:
        """The field that map, sum, join and selectattr reach for."""
        named = [pair.value for pair in node.kwargs if pair.key == "attribute"]
        if node.name == "selectattr" or (node.name == "sum" and node.args):
            named += node.args[:1]
        if node.name in ("map", "selectattr", "sum", "join") and shape.kind not in ("list", "any"):
            return self.refuse(node, f"{node.name} needs a list", word=node.name)
        inner = shape.of or ANY
        for attribute in named:
            if not isinstance(attribute, nodes.Const) or not isinstance(attribute.value, str):
                return self.refuse(node, f"{node.name} needs the name of a field in quotes", word=node.name)
            for name in attribute.value.split("."):
                if inner.kind != "any" and name not in inner.fields:
                    return self.refuse(attribute, f"unknown field {name}", suggest(name, inner.fields), word=name, after=node.name)
                inner = inner.fields.get(name, ANY)
        return inner

    def _currencies(self, node: nodes.Filter) -> None:
        for argument in node.args:
            code = argument.value if isinstance(argument, nodes.Const) else None
            if isinstance(code, str) and code not in self.currencies:
                hint = suggest(code, self.currencies) or "add it to currencies.rates in rules.yaml"
                self.refuse(node, f"there is no exchange rate for {code}", hint, word=code)

    def _test(self, node: nodes.Test) -> Shape:
        self.expression(node.node)
        if node.name in TESTS:
            self._arguments(node, TESTS[node.name])
            return TRUTH
        self.refuse(node, f"unknown test {node.name}", suggest(node.name, TESTS), word=node.name)
        return TRUTH

    def _arguments(self, node: nodes.Filter | nodes.Test, function: Callable[..., Any]) -> None:
        if node.dyn_args or node.dyn_kwargs:
            self.refuse(node, "* and ** are not available")
        for value in [*node.args, *(pair.value for pair in node.kwargs)]:
            self.expression(value)
        named = {str(pair.key): pair.value for pair in node.kwargs}
        try:
            signature(function).bind(None, *node.args, **named)
        except TypeError as error:
            self.refuse(node, f"{node.name}: {error}", word=node.name)


def _constant(value: object) -> Shape:
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int | float):
        return NUMBER
    return TEXT if isinstance(value, str) else ANY


def _spelling(node: nodes.Node) -> str:
    return {"Pow": "**", "Slice": "a slice", "Dict": "{ }"}.get(type(node).__name__, type(node).__name__)
