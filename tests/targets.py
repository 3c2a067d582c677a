"""The targets there is a connector for, and what each of them can do."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from connectors.base import Runtime, Traits
from connectors.registry import SYSTEMS, connection_model, target_opener
from engine.yaml import parse

MAPPINGS = Path(__file__).parents[1] / "mappings"
TARGETS = [system for system in SYSTEMS if target_opener(system) is not None]


def _mappings() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(MAPPINGS.glob("*.yaml"))]


@cache
def traits_of(system: str) -> Traits:
    """The traits of a target connected as its shipped mapping says; nothing is asked of any server."""
    text = next(text for text in _mappings() if f"\nsystem: {system}\n" in text and "\npeople:" in text)
    filled = re.sub(r"\$\{(\w+)\}", lambda name: "http://tool.test" if name[1].endswith("URL") else "anything", text)
    connection = connection_model(system)(**parse(filled.encode(), f"{system}.yaml").data["connection"])
    opener = target_opener(system)
    assert opener is not None
    return opener(connection, fields={}, runtime=Runtime()).traits
