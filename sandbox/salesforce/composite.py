"""Several requests in one call: composite, with references between them, and batch, without."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.salesforce.calls import Call
from sandbox.salesforce.errors import ApiError
from sandbox.web import Reply, Request

MOST = 25


def composite(call: Call) -> Reply:
    """Sub-requests in order; with `allOrNone` one failure undoes the others."""
    body = call.body()
    asked = _limited(body.get("compositeRequest"))
    results: list[dict[str, Any]] = []
    try:
        with call.org.atomic():
            _run(call, asked, results)
            if body.get("allOrNone") and any(result["httpStatusCode"] >= 400 for result in results):
                raise ApiError(
                    "PROCESSING_HALTED", "The transaction was rolled back since another operation in the same transaction failed."
                )
    except ApiError as halted:
        results = [result if result["httpStatusCode"] >= 400 else _halted(result, halted) for result in results]
    return Reply.json(200, {"compositeResponse": results})


def _run(call: Call, asked: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
    known: dict[str, Any] = {}
    for each in asked:
        reference = str(each.get("referenceId", ""))
        reply = _sub(call, each.get("method", "GET"), _filled(each.get("url", ""), known), _filled(each.get("body"), known))
        data = _parsed(reply)
        known[reference] = data
        headers = {name: value for name, value in reply.headers.items() if name == "Location"}
        results.append({"body": data, "httpHeaders": headers, "httpStatusCode": reply.status, "referenceId": reference})


def _halted(result: dict[str, Any], halted: ApiError) -> dict[str, Any]:
    return {**result, "body": [halted.body()], "httpStatusCode": 400, "httpHeaders": {}}


def batch(call: Call) -> Reply:
    body = call.body()
    results: list[dict[str, Any]] = []
    for each in _limited(body.get("batchRequests")):
        if body.get("haltOnError") and any(result["statusCode"] >= 400 for result in results):
            halted = ApiError("BATCH_PROCESSING_HALTED", "Batch processing halted per request")
            results.append({"statusCode": 412, "result": [halted.body()]})
            continue
        url = "/services/data/" + str(each.get("url", "")).removeprefix("/services/data/").lstrip("/")
        reply = _sub(call, each.get("method", "GET"), url, each.get("richInput"))
        results.append({"statusCode": reply.status, "result": _parsed(reply)})
    failed = any(result["statusCode"] >= 400 for result in results)
    return Reply.json(200, {"hasErrors": failed, "results": results})


def _limited(asked: Any) -> list[dict[str, Any]]:
    if not isinstance(asked, list) or not asked:
        raise ApiError("MISSING_ARGUMENT", "at least one sub-request is required")
    if len(asked) > MOST:
        raise ApiError("LIMIT_EXCEEDED", f"The maximum number of allowed sub-requests is {MOST}.")
    return asked


def _sub(call: Call, method: str, url: str, body: Any) -> Reply:
    path, _, query = url.partition("?")
    content = b"" if body is None else json.dumps(body).encode()
    request = Request(method, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), call.request.headers, content, url)
    return call.site.resource(request)


def _parsed(reply: Reply) -> Any:
    return json.loads(reply.body) if reply.body else None


def _filled(value: Any, known: dict[str, Any]) -> Any:
    """`@{ref.id}` and deeper paths replaced by what earlier sub-requests answered."""
    if isinstance(value, dict):
        return {key: _filled(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, known) for each in value]
    return re.sub(r"@\{([^}]+)\}", lambda found: _looked_up(found[1], known), value) if isinstance(value, str) else value


def _looked_up(path: str, known: dict[str, Any]) -> str:
    value: Any = known
    try:
        for step in re.findall(r"[^.\[\]]+", path):
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (KeyError, IndexError, TypeError, ValueError) as wrong:
        raise ApiError("INVALID_REFERENCE", f"Invalid reference specified. No value for {path} found") from wrong
    return str(value)
