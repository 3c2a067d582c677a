"""What editors and people read about the configuration: JSON Schemas and the reference, both made from the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, Field, create_model

from engine.config import BlueprintSpec, Rules, SystemMapping
from engine.section import Name

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES: Mapping[str, tuple[str, type[BaseModel]]] = {
    "rules": ("rules.yaml", Rules),
    "mapping": ("mappings/<system>.yaml", SystemMapping),
    "blueprint": ("mappings/blueprints/<name>.yaml", BlueprintSpec),
}


Connections = Mapping[str, type[BaseModel]]


def schemas(connections: Connections | None = None, channel: type[BaseModel] | None = None) -> dict[str, dict[str, Any]]:
    """JSON Schemas (draft 2020-12) of the three kinds of file, by "rules", "mapping" and "blueprint".

    With the connectors' own models of a `connection:` section there is also one for each system's mapping, "mapping-<system>"; `channel` is their
    model of a channel.
    """
    found = {name: _schema(title, model) for name, (title, model) in _files(channel).items()}
    for system, model in (connections or {}).items():
        found[f"mapping-{system}"] = _schema(f"mappings/{system}.yaml", _mapping_of(model))
    return found


def _files(channel: type[BaseModel] | None) -> Mapping[str, tuple[str, type[BaseModel]]]:
    if channel is None:
        return FILES
    title, about = FILES["rules"][0], Rules.model_fields["channels"].description
    channels: Any = dict[Name, channel]  # type: ignore[valid-type]
    model = create_model(
        "Rules", __base__=Rules, __doc__=Rules.__doc__, channels=(channels, Field(default_factory=dict, description=about))
    )
    return {**FILES, "rules": (title, model)}


def _mapping_of(connection: type[BaseModel]) -> type[BaseModel]:
    about = SystemMapping.model_fields["connection"].description
    return create_model("Mapping", __base__=SystemMapping, connection=(connection, Field(description=about)))


def _schema(title: str, model: type[BaseModel]) -> dict[str, Any]:
    found = _without_titles(model.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, "title": title, **_lenient(found)}


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that repeat each key."""
    if isinstance(schema, dict):
        return {key: _without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    return [_without_titles(part) for part in schema] if isinstance(schema, list) else schema


def _lenient(schema: Any) -> Any:
    """Text may be written without quotes where YAML then reads a number, a date or a truth value."""
    if isinstance(schema, list):
        return [_lenient(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value if key in ("enum", "default") else _lenient(value) for key, value in schema.items()}
    if found.get("type") == "string" and not found.keys() & {"enum", "const", "pattern", "format"}:
        found["type"] = ["string", "number", "boolean"] if found.get("default") == "true" else ["string", "number"]
    return found


def reference(connections: Connections | None = None, channel: type[BaseModel] | None = None) -> str:
    """The configuration reference in Markdown: one table for each section of each file, and for each system's `connection:`."""
    lines = ["# Configuration reference", *(line for title, model in _files(channel).values() for line in _file(title, model))]
    for system, model in (connections or {}).items():
        lines += ["", f"## `connection:` of {system}", "", *_table(model.model_json_schema(by_alias=True))]
    return "\n".join(lines).rstrip() + "\n"


def _file(title: str, model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema(by_alias=True)
    yield from ("", f"## `{title}`", "", *_table(schema))
    for section, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            yield from ("", f"### {section}", "", *_table(inner))


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    if about := schema.get("description"):
        yield from (" ".join(about.split()), "")
    yield from ("| Key | Type | Default | Meaning |", "|:--|:--|:--|:--|")
    required = schema.get("required", [])
    for key, prop in schema["properties"].items():
        default = "required" if key in required else _default(prop)
        yield f"| `{key}` | {_type(prop)} | {default} | {_cell(prop.get('description', ''))} |"


def _default(prop: Mapping[str, Any]) -> str:
    value = prop.get("default")
    if value in (None, "", [], {}):
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{_cell(str(value))}`"


def _type(prop: Mapping[str, Any]) -> str:
    if "$ref" in prop:
        section = prop["$ref"].rpartition("/")[2]
        return f"[{section}](#{section.lower()})"
    options = prop.get("anyOf") or prop.get("oneOf")
    if options:
        kinds = (_type(option) for option in options if option.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in prop:
        return ", ".join(f"`{value}`" for value in prop["enum"])
    if "const" in prop:
        return f"`{prop['const']}`"
    return _plain_type(prop)


def _plain_type(prop: Mapping[str, Any]) -> str:
    match prop.get("type"):
        case "array":
            return f"list of {_type(prop['items'])}"
        case "object":
            inner = prop.get("additionalProperties")
            keys = prop.get("propertyNames", {})
            named = f" (keys {_type(keys)})" if "enum" in keys else ""
            return f"mapping to {_type(inner)}{named}" if isinstance(inner, dict) else "mapping"
        case "integer":
            return "whole number"
        case "boolean":
            return "true or false"
        case "string":
            return "date" if prop.get("format") == "date" else "text"
    return str(prop.get("type", "anything"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
