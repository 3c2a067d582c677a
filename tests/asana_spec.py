"""The public OpenAPI description of the Asana API, as a judge of requests and replies.

The description lies outside the repository (`../shared`); `load_spec()` is None where it is absent, and tests that need it skip.
It is mended in memory where it contradicts itself or leaves out what the service is known to do; each mend says which.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from sandbox.web import Reply, Request

SPEC = Path(__file__).parents[2] / "shared" / "specs" / "asana" / "asana_oas.yaml"
HOST = "https://app.asana.com"
PREFIX = "/api/1.0"
METHODS = ("get", "post", "put", "delete")
FREE_QUERY = ("/tasks/search", "/projects/search")  # these take custom_fields.{gid}.value and the like


@cache
def load_spec() -> OpenAPI | None:
    """The mended description, or None where the file is absent."""
    raw = _raw()
    return None if raw is None else OpenAPI.from_dict(raw, config=Config(spec_validator_cls=None))


def need_spec() -> OpenAPI:
    """The description; skips the running test where it is absent."""
    spec = load_spec()
    if spec is None:
        pytest.skip("the public Asana OpenAPI file is not on this machine (../shared/specs/asana)")
    return spec


def check_request(request: Request) -> None:
    """Raises AssertionError when the request is not one the description allows; a batch is judged action by action.

    Stricter than the description in one way: query names and body fields it does not know are refused.
    """
    spec = need_spec()
    asked = _asked(request)
    operation = find_operation(asked.method, asked.path)
    assert operation is not None, f"no such operation: {request.method} {request.path}"
    try:
        spec.validate_request(asked)
    except OpenAPIError as refusal:
        raise AssertionError(f"{request.method} {request.path}: {_reason(refusal)}") from refusal
    _check_names(request, asked.path, operation)
    if asked.path.endswith("/batch"):
        for action in request.json()["data"]["actions"]:
            check_request(_action(action))


def check_reply(request: Request, reply: Reply) -> None:
    """Raises AssertionError when the reply is not one the description allows for that request; a batch is judged action by action.

    What a failing server says (5xx) is not judged, and a path nobody described can only be refused.
    """
    spec = need_spec()
    if reply.status >= 500:
        return
    if find_operation(_asked(request).method, _asked(request).path) is None:
        assert reply.status in (400, 404), f"{request.method} {request.path} -> {reply.status}, though there is no such operation"
        return
    kind = reply.headers.get("Content-Type", "")
    answer = MockResponse(reply.body, reply.status, dict(reply.headers), kind.partition(";")[0])
    try:
        spec.validate_response(_asked(request), answer)
    except OpenAPIError as refusal:
        raise AssertionError(f"{request.method} {request.path} -> {reply.status}: {_reason(refusal)}") from refusal
    if request.path.endswith("/batch") and reply.status == 200:
        actions = request.json()["data"]["actions"]
        for action, result in zip(actions, json.loads(reply.body)["data"], strict=True):
            check_reply(_action(action), Reply.json(result["status_code"], result["body"], result["headers"]))


def _asked(request: Request) -> MockRequest:
    path = request.path if request.path.startswith(PREFIX) else PREFIX + request.path
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    return MockRequest(
        HOST, request.method, path, args=dict(request.query), headers=dict(request.headers), data=request.body, content_type=kind
    )


def _action(action: Mapping[str, Any]) -> Request:
    """What one action of a batch would be as a request of its own."""
    method, data, options = action["method"].upper(), action.get("data") or {}, action.get("options") or {}
    query = {name: str(options[name]) for name in ("limit", "offset") if name in options}
    if options.get("fields"):
        query["opt_fields"] = ",".join(options["fields"])
    if method == "GET":
        query |= {name: str(value) for name, value in data.items()}
    body = json.dumps({"data": data}).encode() if method in ("POST", "PUT") else b""
    path = PREFIX + action["relative_path"]
    return Request(method, path, query, {"content-type": "application/json"}, body, f"{path}?{urlencode(query)}")


def _check_names(request: Request, path: str, operation: Mapping[str, Any]) -> None:
    if not path.endswith(FREE_QUERY):
        names = {each["name"] for each in operation["parameters"]} | {"opt_fields", "opt_pretty", "limit", "offset"}
        assert set(request.query) <= names, f"{request.method} {path}: unknown query {sorted(set(request.query) - names)}"
    _check_fields(request, path, operation)
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema and request.body:
        known = _properties(schema["properties"]["data"])
        sent = set(request.json()["data"])
        assert sent <= known, f"{request.method} {path}: unknown fields {sorted(sent - known)}"


def _check_fields(request: Request, path: str, operation: Mapping[str, Any]) -> None:
    """The described lists of fields name a few paths of many: the first step of a path is what has to be known."""
    known = next((each["heads"] for each in operation["parameters"] if "heads" in each), None)
    asked = {field.strip().partition(".")[0] for field in request.query.get("opt_fields", "").split(",")} - {""}
    if known is not None:
        assert asked <= known | {"gid"}, f"{request.method} {path}: unknown opt_fields {sorted(asked - known)}"


def _reason(refusal: BaseException) -> str:
    errors = getattr(refusal.__cause__, "schema_errors", None)
    return "; ".join(_where(error) for error in errors) if errors else f"{refusal} {refusal.__cause__ or ''}"


def _where(error: Any) -> str:
    deepest = [f"{'/'.join(map(str, each.path))}: {each.message[:200]}" for each in error.context[:4]]
    return f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]} {deepest or ''}"


def find_operation(method: str, path: str) -> dict[str, Any] | None:
    """The described operation, its parameters resolved, or None. `method` in lower case."""
    raw = _raw() or {}
    parts = path.removeprefix(PREFIX).split("/")
    fitting = [pattern for pattern in raw["paths"] if _fits(pattern.split("/"), parts)]
    exact = min(fitting, key=lambda pattern: pattern.count("{"), default=None)
    if exact is None or method not in raw["paths"][exact]:
        return None
    item = raw["paths"][exact]
    operation: dict[str, Any] = item[method]
    parameters = [_deref(each) for each in [*item.get("parameters", []), *operation.get("parameters", [])]]
    return {**operation, "parameters": parameters}


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(want.startswith("{") or want == got for want, got in zip(pattern, parts, strict=True))


def _properties(schema: Mapping[str, Any]) -> set[str]:
    schema = _deref(schema)
    inherited = (_properties(part) for key in ("allOf", "oneOf", "anyOf") for part in schema.get(key, []))
    return set(schema.get("properties", {})).union(*inherited)


def _deref(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = _raw()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


@cache
def _raw() -> dict[str, Any] | None:
    if not SPEC.exists():
        return None
    raw: dict[str, Any] = yaml.load(SPEC.read_text(), Loader=yaml.CSafeLoader)
    _mend_operations(raw)
    _mend_schemas(raw["components"]["schemas"])
    return raw


def _mend_operations(raw: dict[str, Any]) -> None:
    refused = {
        "description": "Refused by a limit or the plan",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
    }
    raw.pop("security", None)
    for parameter in raw["components"]["parameters"].values():
        parameter.pop("allowEmptyValue", None)  # deprecated, and warned about
    for path in raw["paths"].values():
        for operation in (path[method] for method in METHODS if method in path):
            for parameter in operation.get("parameters", []):
                _mend_opt_fields(parameter)
            operation.pop("security", None)  # bearer tokens are a scheme the validator only warns about
            operation["responses"] = {str(status): reply for status, reply in operation["responses"].items()} | {"429": refused}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "data" in content["schema"].get("properties", {}):
                    content["schema"]["required"] = ["data"]
    raw["paths"]["/workspaces/{workspace_gid}/tasks/search"]["get"]["responses"]["402"] = refused
    stale = raw["paths"]["/events"]["get"]["responses"]["412"]
    raw["paths"]["/workspaces/{workspace_gid}/events"]["get"]["responses"]["412"] = stale


def _mend_opt_fields(parameter: dict[str, Any]) -> None:
    if parameter.get("name") == "opt_fields":
        fields = parameter["schema"]["items"].pop("enum", [])
        parameter["heads"] = {field.partition(".")[0] for field in fields}


def _mend_schemas(schemas: dict[str, Any]) -> None:
    for node in _nodes(schemas):
        if node.get("nullable") is True and isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"].append(None)  # said to be nullable, yet null is not among the values
        properties = node.get("properties")
        if isinstance(properties, dict):
            node["properties"] = {name: _nullable(each) for name, each in properties.items()}
            _mend_task_parts(node["properties"])


def _nullable(schema: Any) -> Any:
    """A reference that may be null says so inside an allOf, where it has no effect; `parent` of a task forgets to say so."""
    parts = schema.get("allOf", []) if isinstance(schema, dict) else []
    return {"anyOf": [schema, {"nullable": True, "enum": [None]}]} if any("$ref" in part for part in parts) else schema


def _mend_task_parts(properties: dict[str, Any]) -> None:
    """A map of custom field values holds more than strings; memberships, marked read-only, place a task at birth and then hold gids.

    A date without a time has no `date_time`.
    """
    if "date_time" in properties:
        properties["date_time"]["nullable"] = True
    fields, memberships = properties.get("custom_fields", {}), properties.get("memberships", {})
    if "additionalProperties" in fields:
        fields["additionalProperties"] = True
    if memberships.pop("readOnly", False):
        items = memberships["items"]["properties"]
        memberships["items"]["properties"] = {name: {"anyOf": [{"type": "string"}, each]} for name, each in items.items()}


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    if isinstance(root, dict):
        yield root
        for value in list(root.values()):
            yield from _nodes(value)
    elif isinstance(root, list):
        for value in root:
            yield from _nodes(value)
