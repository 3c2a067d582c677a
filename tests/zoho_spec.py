"""The public OpenAPI descriptions of Zoho CRM's REST API v8, as a judge of requests and replies.

They lie outside the repository (`../shared`); `SPEC.exists()` is false where they are absent, and tests that need them skip. They are a
file a resource and strict about names, but they contradict themselves and the documentation here and there: what is read otherwise than it
stands is named below, each with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from sandbox.web import Reply, Request, Sandbox

SPEC = Path(__file__).parents[2] / "shared" / "specs" / "zoho"
NEWER, OLDER = "crm-oas-v8-2026-08", "crm-oas-v8-2025-06"
BULK = ("bulk-read.json", "bulk-write.json")
METHODS = ("get", "post", "put", "patch", "delete")
# What any call may be refused with. The descriptions leave these out of most operations, the documentation of errors does not.
ANYWHERE = {
    401: {"INVALID_TOKEN", "AUTHENTICATION_FAILURE", "OAUTH_SCOPE_MISMATCH"},
    429: {"TOO_MANY_REQUESTS"},
    400: {"INVALID_REQUEST_METHOD", "INVALID_MODULE", "INVALID_DATA", "REQUIRED_PARAM_MISSING", "LIMIT_EXCEEDED"},
    403: {"NO_PERMISSION", "AUTHORIZATION_FAILED"},
    404: {"INVALID_URL_PATTERN"},
}
# Refusals of rows that the documentation names and the description of records does not.
OF_ROWS = {
    "RECORD_IN_BLUEPRINT",
    "RECORD_LOCKED",
    "DUPLICATE_DATA",
    "MANDATORY_NOT_FOUND",
    "INVALID_DATA",
    "ALREADY_MODIFIED",
    "DEPENDENT_MISMATCH",
}
# Refusals that one resource documents and its neighbours share.
BESIDES = {
    "INVALID_QUERY": "search: the description has no code for criteria that cannot be read",
    "MANDATORY_NOT_FOUND": "Blueprints and COQL: a body without what it has to hold",
    "RECORD_NOT_IN_PROCESS": "Blueprints: a record without one",
    "EXPIRED_VALUE": "page tokens of related lists, as of lists",
    "TOKEN_BOUND_DATA_MISMATCH": "the same",
    "AMBIGUITY_DURING_PROCESSING": "the same",
    "DISCRETE_PAGINATION_LIMIT_EXCEEDED": "the same",
    "PAGINATION_LIMIT_EXCEEDED": "the same",
}
# Query names that are described under another name.
NAMES = {"per_page": "perPage"}

formats = FormatChecker(formats=())


@formats.checks("date-time")  # type: ignore[untyped-decorator]
def _is_moment(value: object) -> bool:
    try:
        return not isinstance(value, str) or datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


@formats.checks("int64")  # type: ignore[untyped-decorator]
def _is_long(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"-?\d{1,19}", value) is not None


@dataclass(frozen=True)
class Operation:
    """One described operation, its references resolved."""

    parameters: tuple[Mapping[str, Any], ...]
    body: Mapping[str, Any] | None
    replies: Mapping[str, Mapping[str, Any] | None]


def need_spec() -> None:
    """Skips the running test where the descriptions are absent."""
    if not SPEC.exists():
        pytest.skip("the public Zoho CRM OpenAPI files are not on this machine (../shared/specs/zoho)")


def judge(box: Sandbox) -> None:
    """Has every exchange with a stand-in judged from now on, where the descriptions are at hand; replies that a fault spoiled are not."""

    def show(request: Request, reply: Reply) -> None:
        if request.path.startswith("/oauth/"):
            return
        check_request(request)
        if not box.faults:
            check_reply(request, reply)

    if SPEC.exists():
        box.recorder = show


def check_request(request: Request) -> None:
    """Raises AssertionError when the request is not one the descriptions allow: path, query names and values, body."""
    need_spec()
    operation = find_operation(request.method.lower(), request.path)
    where = f"{request.method} {request.path}"
    assert operation is not None, f"no such operation: {where}"
    known = {each["name"]: each for each in operation.parameters if each["in"] == "query"}
    for name, text in request.query.items():
        parameter = known.get(name) or known.get(NAMES.get(name, ""))
        assert parameter is not None, f"{where}: unknown query {name}"
        _judge(_value(text, parameter["schema"]), parameter["schema"], f"{where}: query {name}")
    missing = [name for name, each in known.items() if each.get("required") and name not in request.query]
    assert not missing, f"{where}: query lacks {missing}"
    if operation.body is not None:
        _judge(request.json(), operation.body, f"{where}: body")


def check_reply(request: Request, reply: Reply) -> None:
    """Raises AssertionError when the reply is not one the descriptions allow for that request. A failing server (5xx) is not judged."""
    need_spec()
    operation = find_operation(request.method.lower(), request.path)
    where = f"{request.method} {request.path} -> {reply.status}"
    if reply.status >= 500 or (reply.status == 304 and "if-modified-since" in request.headers):
        assert reply.status >= 500 or reply.body == b"", f"{where}: 304 with a body"
        return
    if operation is None:
        assert reply.status in (400, 401, 404), f"{where}, though there is no such operation"
        return
    if reply.status == 204:
        assert reply.body == b"", f"{where}: 204 with a body"
        assert "204" in operation.replies, f"{where}: not described"
        return
    if not reply.headers.get("Content-Type", "").startswith("application/json"):
        assert reply.status == 200, where
        assert reply.headers["Content-Type"] == "application/zip", where
        return
    body = json.loads(reply.body)
    if not _is_general(body, reply.status):
        _judge_reply(operation, reply.status, body, where)


def _judge_reply(operation: Operation, status: int, body: Any, where: str) -> None:
    if status == 207 and "207" not in operation.replies:
        for row in body["data"]:  # documented for every call of many rows
            good = operation.replies.get("201") or operation.replies.get("200")
            _judge_row(row, good if row["status"] == "success" else operation.replies["400"], where)
        return
    assert str(status) in operation.replies, f"{where}: not described ({body})"
    schema = operation.replies[str(status)]
    if schema is None:
        return
    if status >= 400:
        for row in _rows(body):
            _judge_row(row, schema, where)
    else:
        _judge(body, schema, where)


def _rows(body: Any) -> list[Any]:
    """The refusals in a body: one for the whole, or one a row."""
    listed = next((body[name] for name in ("data", "watch") if isinstance(body.get(name), list)), None)
    return [body] if listed is None else listed


def _judge_row(row: Any, schema: Mapping[str, Any] | None, where: str) -> None:
    """A refusal may stand in `data` or by itself, wherever the description puts it; codes that it forgot are those named above."""
    if schema is None:
        return
    wrong = [_wrong(row, each) for each in _row_schemas(schema)]
    if "" in wrong or (row.get("status") == "error" and row.get("code") in OF_ROWS | set(BESIDES)):
        _judge(row, _SHAPE, where)
        return
    raise AssertionError(f"{where}: {json.dumps(row)[:400]}: {wrong}")


_SHAPE = {
    "type": "object",
    "required": ["code", "message", "status", "details"],
    "properties": {
        "code": {"type": "string"},
        "details": {"type": "object"},
        "message": {"type": "string"},
        "status": {"enum": ["success", "error"]},
    },
}


def _row_schemas(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema itself and those of the rows in it."""
    yield schema
    for part in [*schema.get("oneOf", []), *schema.get("anyOf", [])]:
        yield from _row_schemas(part)
    for name in ("data", "watch"):
        held = schema.get("properties", {}).get(name, {}).get("items")
        if held:
            yield from _row_schemas(held)


def _is_general(body: Any, status: int) -> bool:
    return isinstance(body, dict) and body.get("code") in ANYWHERE.get(status, ()) and _wrong(body, _SHAPE) == ""


def _judge(value: Any, schema: Mapping[str, Any], where: str) -> None:
    wrong = _wrong(value, schema)
    assert not wrong, f"{where}: {wrong}"


def _wrong(value: Any, schema: Mapping[str, Any]) -> str:
    errors = Draft202012Validator(schema, format_checker=formats).iter_errors(value)
    found = [f"{'/'.join(map(str, each.absolute_path))}: {each.message[:300]}" for each in errors]
    return "; ".join(found[:6])


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """A query's text as its schema means it."""
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


@cache
def find_operation(method: str, path: str) -> Operation | None:
    """The described operation a request names; of several paths that fit, the one with the fewest names left open."""
    parts = path.split("/")
    fitting = [pattern for pattern in _paths() if _fits(pattern.split("/"), parts) and method in _paths()[pattern]]
    if not fitting:
        return None
    exact = min(fitting, key=lambda pattern: pattern.count("{"))
    file, item, operation = _paths()[exact][method]
    parameters = tuple(_resolved(each, file) for each in [*item.get("parameters", []), *operation.get("parameters", [])])
    body = _resolved(operation.get("requestBody", {}), file).get("content", {}).get("application/json", {}).get("schema")
    replies = {code: _schema(_resolved(reply, file)) for code, reply in operation["responses"].items()}
    return _mended(exact, method, Operation(parameters, body, replies))


def _schema(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = reply.get("content", {}).get("application/json", {}).get("schema")
    return found


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(want.startswith("{") or want == got for want, got in zip(pattern, parts, strict=True))


@cache
def _paths() -> dict[str, dict[str, tuple[Path, dict[str, Any], dict[str, Any]]]]:
    """Every described path by its full address; Blueprints are in the older set alone."""
    found: dict[str, dict[str, tuple[Path, dict[str, Any], dict[str, Any]]]] = {}
    for file in [*sorted((SPEC / NEWER).glob("*.json")), SPEC / OLDER / "blueprint.json"]:
        prefix = "" if file.parent.name == OLDER else "/crm/bulk/v8" if file.name in BULK else "/crm/v8"
        for path, item in _load(file)["paths"].items():
            for method in [each for each in METHODS if each in item]:
                found.setdefault(prefix + path, {}).setdefault(method, (file, item, item[method]))
    # the master of roles is described under a module's name in small letters
    found["/crm/v8/Contacts/roles"] = found.get("/crm/v8/contacts/roles", {})
    return found


@cache
def _load(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {}


def _resolved(node: Any, file: Path, depth: int = 0) -> Any:
    """The node without references; those of the older set lead to files beside it."""
    if depth > 60:
        return {}
    if isinstance(node, list):
        return [_resolved(each, file, depth + 1) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and isinstance(node["$ref"], str):
        address, _, fragment = node["$ref"].partition("#")
        beside = file.parent / address.rsplit("/", 1)[-1] if address else file
        target: Any = _load(beside)
        for part in fragment.strip("/").split("/"):
            target = target.get(part.replace("~1", "/"), {})
        return _resolved(target, beside, depth + 1)
    plain = {name: _resolved(each, file, depth + 1) for name, each in node.items()}
    if "\\p{" in str(plain.get("pattern", "")):
        del plain["pattern"]  # classes of characters that Python's expressions do not know
    if file.parent.name == OLDER and isinstance(plain.get("required"), list):
        del plain["required"]  # one class of the vendor's client stands for what is sent and what comes, and requires both
    return {"anyOf": [plain, {"type": "null"}]} if plain.pop("nullable", False) is True else plain


def _mended(path: str, method: str, operation: Operation) -> Operation:
    """Where the descriptions contradict the documentation, or themselves."""
    parameters = [dict(each) for each in operation.parameters]
    for each in parameters:
        if each["name"] in ("include", "perPage"):
            each["required"] = False  # described as required, and left out by every client, the vendor's own among them
        if each["name"] in ("fields", "ids"):
            each["schema"] = {"type": "string"}  # fifty names of fifty characters do not fit into 1,024; the documentation counts names
    if path.endswith("/Contact_Roles") and method == "get":  # a related list like the others, and its reply tells of pages
        parameters += [{"name": name, "in": "query", "schema": {}} for name in ("page", "per_page", "page_token")]
    if path.endswith("/{module}") and method == "get":
        parameters.append({"name": "If-Modified-Since", "in": "header", "schema": {"type": "string"}})
    replies = {code: _reply(path, json.loads(json.dumps(schema))) for code, schema in operation.replies.items()}
    if path.endswith("/watch") and method == "get":
        replies.setdefault("204", None)  # described in the older set
    body = None if operation.body is None else json.loads(json.dumps(operation.body))
    if body is not None and path.endswith("/watch") and "watch" not in body["properties"]:
        body = {
            "properties": {"watch": {"type": "array", "items": body}},
            "required": ["watch"],
        }  # a row is described, the older set has its wrapper
    if body is not None:
        _mend_body(path, body)
    return Operation(tuple(parameters), body, replies)


def _reply(path: str, schema: Any) -> Any:
    for node in _nodes(schema):
        properties = node.get("properties", {})
        for name in ("next_page_token", "previous_page_token", "page_token_expiry"):
            if properties.get(name, {}).get("type") == "string":
                properties[name] = {"anyOf": [properties[name], {"type": "null"}]}  # the last page has none; other files say so
        if node.get("maxItems") == 100:
            node["maxItems"] = 1000  # a page is 200 records, a module has more than 100 fields
        if properties.get("code", {}).get("enum") == ["SUCCESS"]:
            properties |= {"action": {"enum": ["insert", "update"]}, "duplicate_field": {"type": ["string", "null"]}}  # of an upsert
        if "resource_path_index" in node.get("required", []):
            node["required"] = []  # not every refusal of a list is about its path: a missing parameter names the parameter
        if path.endswith("/coql") and node.get("maxItems") == 200:
            node["maxItems"] = 2000  # as documented under the limits of COQL
        if path.startswith("/crm/bulk/"):
            node["required"] = [
                name for name in node.get("required", []) if name not in ("Attachment_Source__s", "File_Id__s")
            ]  # of attachments
            _mend_state(properties)
        for role in ("Created_By", "Modified_By", "Owner"):
            if role in properties and "properties" in properties[role]:
                properties[role].setdefault("properties", {}).setdefault("email", {"type": "string"})
    return schema


def _mend_state(properties: dict[str, Any]) -> None:
    """A job may fail, and its criteria compare more than text; both are documented."""
    if "enum" in properties.get("state", {}):
        properties["state"]["enum"] = ["ADDED", "QUEUED", "IN PROGRESS", "COMPLETED", "FAILURE"]
    if "group_operator" in properties or "criteria" in properties:
        properties.pop("criteria", None)
        properties["criteria"] = {"type": "object"}
    if "more_records" in properties:
        properties["error_message"] = {"type": "object"}


def _mend_body(path: str, body: dict[str, Any]) -> None:
    properties = body.get("properties", {})
    if path.endswith(("/{module}", "/upsert", "/{recordID}", "/Notes")):
        row = properties["data"].get("items", {})
        row.setdefault("properties", {}).pop("$append_values", None)  # described as text; it is a map of fields
        properties["trigger"] = {"type": "array", "items": {"enum": ["approval", "workflow", "blueprint", "pathfinder", "orchestration"]}}
        for name in ("apply_feature_execution", "skip_feature_execution"):
            properties.setdefault(name, {"type": "array"})
    if path.startswith("/crm/bulk/"):
        properties["callback"] = {"type": "object", "required": ["url", "method"]}  # described with one example as the only address
        properties["query"]["properties"]["criteria"] = {"type": "object"}  # described without moments, though they are documented
    if path.endswith("/watch"):
        row = properties["watch"]["items"]
        row["properties"] |= {"return_affected_field_values": {"type": "boolean"}, "notify_on_related_action": {"type": "boolean"}}
        row["properties"] |= {"notification_condition": {"type": "array"}, "_delete_events": {"type": "boolean"}}
        row["required"] = ["channel_id"]


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    if isinstance(root, dict):
        yield root
        for held in list(root.values()):
            yield from _nodes(held)
    elif isinstance(root, list):
        for held in root:
            yield from _nodes(held)
