"""One request on its way to the resource it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.salesforce.errors import ApiError, not_found
from sandbox.salesforce.org import Org
from sandbox.salesforce.store import Table
from sandbox.web import Reply, Request

if TYPE_CHECKING:
    from sandbox.salesforce.app import Salesforce


@dataclass(frozen=True, slots=True)
class Call:
    """`parts` are the named pieces of the path, `version` the one the path asks for ("66.0")."""

    site: Salesforce
    request: Request
    version: str
    parts: Mapping[str, str]

    @property
    def org(self) -> Org:
        return self.site.org

    @property
    def base(self) -> str:
        return f"/services/data/v{self.version}/"

    @property
    def sobjects(self) -> str:
        return f"{self.base}sobjects/"

    def table(self) -> Table:
        """The object named in the path; raises NOT_FOUND."""
        table = self.org.find(self.parts["object"])
        if table is None:
            raise not_found()
        return table

    def body(self) -> dict[str, Any]:
        """The JSON object sent; raises JSON_PARSER_ERROR."""
        try:
            data = self.request.json()
        except ValueError as wrong:
            raise ApiError("JSON_PARSER_ERROR", f"{wrong}") from wrong
        if not isinstance(data, dict):
            raise ApiError("JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
        return data


Handler = Callable[[Call], Reply]
