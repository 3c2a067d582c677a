"""Search: by criteria, e-mail, phone or word, up to 2,000 records. What was made a moment ago is not found yet."""

from __future__ import annotations

import re

from sandbox.web import Reply
from sandbox.zoho.calls import PAGE, Call
from sandbox.zoho.compare import Condition, Unfit, both, condition, either
from sandbox.zoho.errors import Refused, invalid
from sandbox.zoho.records import order
from sandbox.zoho.schema import Module
from sandbox.zoho.shapes import show, show_whole

MOST, CONDITIONS = 2000, 15
WORDS = {"equals": "=", "not_equal": "!=", "greater_than": ">", "greater_equal": ">=", "less_than": "<", "less_equal": "<="}
WORDS |= {"in": "in", "not_in": "not in", "between": "between", "not_between": "not between", "starts_with": "like"}
_ONE = re.compile(r"\(?([A-Za-z_]\w*):([a-z_]+):((?:\\.|[^()\\])*)\)?")


def search(call: Call) -> Reply:
    module, names = call.module(), call.query.get("fields")
    call.site.let("ZohoSearch.securesearch.READ", call)
    wanted, known = _wanted(call, module), call.world.clock() - call.site.search_lag
    found = [row for row in call.world.rows[module.name].values() if row.get("Created_Time", known) <= known and wanted(row)]
    rows, _, how = order(call, found)
    size, page = call.number("per_page", PAGE, PAGE), call.number("page", 1)
    if page * size > MOST:
        raise Refused("LIMIT_EXCEEDED", "You can get only the first 2000 records", limit=MOST)
    part = rows[(page - 1) * size : page * size]
    if not part:
        return Reply(204)
    info = {"per_page": size, "count": len(part), "page": page, "more_records": page * size < len(rows), **how}
    told = [show(call.world, module, row, names.split(",")) if names else show_whole(call.world, module, row) for row in part]
    return Reply.json(200, {"data": told, "info": info})


def _wanted(call: Call, module: Module) -> Condition:
    """Of several ways to search, criteria come before e-mail, phone and word."""
    if "criteria" in call.query:
        try:
            return parse(call.query["criteria"], module)
        except (Unfit, IndexError) as wrong:
            raise Refused("INVALID_QUERY", "invalid query formed", param_name="criteria") from wrong
    for name in ("email", "phone", "word"):
        if name in call.query:
            return _text(module, call.query[name], {"email": ("email",), "phone": ("phone",)}.get(name, ("text", "email", "phone")))
    raise Refused("REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="criteria")


def _text(module: Module, text: str, types: tuple[str, ...]) -> Condition:
    if len(text) < 2:
        raise invalid(param_name="word")
    names = [field.name for field in module.visible if field.type in types]
    return lambda row: any(text.lower() in str(row.get(name) or "").lower() for name in names)


def parse(text: str, module: Module) -> Condition:
    """`((Stage:equals:Closed Won)and(Amount:greater_than:5))`; raises Unfit."""
    parser = _Parser(text.strip(), module)
    found = parser.group()
    if parser.rest:
        raise Unfit(parser.rest)
    return found


class _Parser:
    def __init__(self, text: str, module: Module) -> None:
        self.rest = text
        self._module = module
        self._conditions = 0

    def group(self) -> Condition:
        found = self._operand()
        while match := re.match(r"\s*(and|or)\s*", self.rest):
            self.rest = self.rest[match.end() :]
            found = (both if match[1] == "and" else either)(found, self._operand())
        return found

    def _operand(self) -> Condition:
        one = _ONE.match(self.rest)
        if one and one[0].startswith("(") is one[0].endswith(")"):
            self.rest = self.rest[one.end() :]
            return self._one(one[1], one[2], re.sub(r"\\(.)", r"\1", one[3]))
        if not self.rest.startswith("("):
            raise Unfit(self.rest)
        self.rest = self.rest[1:]
        found = self.group()
        if not self.rest.startswith(")"):
            raise Unfit(self.rest)
        self.rest = self.rest[1:]
        return found

    def _one(self, name: str, word: str, value: str) -> Condition:
        field, self._conditions = self._module.seen(name), self._conditions + 1
        if field is None or word not in WORDS or self._conditions > CONDITIONS:
            raise Unfit(name)
        if value in ("null", "${EMPTY}") and word in ("equals", "not_equal"):
            return condition(field, "null" if word == "equals" else "not null", [])
        many = word in ("in", "not_in", "between", "not_between")
        texts = value.split(",") if many else [f"{value}%" if word == "starts_with" else value]
        if word.endswith("between") and len(texts) != 2:
            raise Unfit(value)
        return condition(field, WORDS[word], texts)
