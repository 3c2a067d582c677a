"""The schemas agree with the models, and the reference tells every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from connectors.channels import Channel
from engine.config import BlueprintSpec, Rules, SystemMapping
from engine.schema import FILES, reference, schemas

ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = {
    "version": 1,
    "sources": ["crm"],
    "rules": [{"name": "a", "on": ["deal.won"], "when": True, "do": [{"create": "x", "target": "y"}]}],
}


def errors(name: str, data: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schemas()[name]).iter_errors(data)]


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_valid_itself_and_names_its_dialect(name: str) -> None:
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_schema_takes_what_the_models_take() -> None:
    assert errors("rules", RULES) == []


@pytest.mark.parametrize(
    "wrong",
    [{"version": 2}, {"sources": []}, {"unknown": 1}, {"rules": [{"name": "a", "on": ["deal.one"], "do": []}]}, {"limits": {"x": 1}}],
)
def test_a_schema_refuses_what_the_models_refuse(wrong: dict[str, Any]) -> None:
    assert errors("rules", {**RULES, **wrong})


def test_keys_are_named_as_they_are_written() -> None:
    task = schemas()["blueprint"]["$defs"]["TaskSpec"]["properties"]
    assert "for" in task
    assert "for_each" not in task


@pytest.mark.parametrize(
    ("name", "pattern"), [("rules", "rules.yaml"), ("mapping", "mappings/*.yaml"), ("blueprint", "mappings/blueprints/*.yaml")]
)
def test_the_configuration_that_ships_fits_its_schema(name: str, pattern: str) -> None:
    files = sorted(ROOT.glob(pattern))
    assert files
    for file in files:
        assert errors(name, YAML(typ="safe").load(file.read_text("utf-8"))) == []


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        assert info.description, f"{model.__name__}.{name} has no description"
        yield info.alias or name


def test_the_reference_tells_every_key_and_its_meaning() -> None:
    text = reference()
    for title, model in FILES.values():
        section = text[text.index(f"## `{title}`") :]
        for key in keys(model):
            assert re.search(rf"^\| `{key}` \| .+ \| .* \| \S.* \|$", section, re.MULTILINE), key
    assert "| `projects_per_run` | whole number | `25` | New projects one run may create" in text
    assert "| `for` | text |  | `item in deal.line_items`" in text


def test_every_link_of_the_reference_leads_to_a_section() -> None:
    text = reference()
    sections = {line.removeprefix("### ").lower() for line in text.splitlines() if line.startswith("### ")}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= sections


def test_a_channel_is_described_by_its_kinds() -> None:
    rules = schemas(channel=Channel)["rules"]
    assert rules["$defs"]["Channel"]["properties"].keys() == {"slack", "teams", "feishu", "dingtalk", "wecom", "email", "webhook"}
    good = {"version": 1, "sources": ["a"], "rules": [{"name": "a", "on": ["deal.won"], "do": [{"notify": "b", "text": "c"}]}]}
    checker = Draft202012Validator(rules)
    assert checker.is_valid({**good, "channels": {"b": {"slack": {"url": "https://a.test"}}}})
    assert not checker.is_valid({**good, "channels": {"b": {"slack": {"adress": "https://a.test"}}}})
    assert "### Mail" in reference(channel=Channel)


def test_every_table_has_a_meaning_for_every_key() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_three_kinds_of_file_are_covered() -> None:
    assert [model for _, model in FILES.values()] == [Rules, SystemMapping, BlueprintSpec]
