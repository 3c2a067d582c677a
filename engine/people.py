"""Who is meant: roles, templates and overrides to the e-mail address the project tool knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.config import People
from engine.expressions import Scope, Template, compile_template
from engine.filters import ExpressionError


@dataclass(frozen=True, slots=True)
class Found:
    """An e-mail in the tool (or "" for nobody) and what had to be assumed."""

    email: str
    note: str = ""


class Directory:
    """The people of one target, compiled. Role templates may name `deal`, `customer` and `feedback`; what is absent there means nobody."""

    def __init__(self, people: People, scope: Scope) -> None:
        self._roles = {role: compile_template(text, scope) for role, text in people.roles.items()}
        self._overrides = {crm.lower(): tool for crm, tool in people.overrides.items()}
        self._fallback = people.fallback

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self._roles)

    def compile(self, text: str, scope: Scope) -> Template:
        """The template of a role's name, or of an expression that gives an e-mail."""
        return self._roles[text] if text in self._roles else compile_template(text, scope)

    def find(self, template: Template, called: str, values: Mapping[str, Any]) -> Found:
        try:
            email = template.render(values).strip().lower()
        except ExpressionError:
            email = ""
        email = self._overrides.get(email, email)
        if "@" in email:
            return Found(email)
        if self._fallback:
            return Found(self._fallback, f"{called}: nobody found, {self._fallback} instead")
        return Found("", f"{called}: nobody found")
