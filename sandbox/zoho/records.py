"""Reading records: lists, single ones, those that were deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sandbox.web import Reply
from sandbox.zoho.calls import ORDERS, Call
from sandbox.zoho.errors import Refused, invalid, no_record
from sandbox.zoho.shapes import show, show_whole, user
from sandbox.zoho.values import ID, Row
from sandbox.zoho.world import Gone

Key = Callable[[Row], tuple[Any, str]]


def listed(call: Call) -> Reply:
    """A page of a module. With If-Modified-Since: 304 when nothing was modified then or later; a page with nothing on it is 204."""
    module, names, since = call.module(), call.fields(), call.since()
    if "cvid" in call.query and "sort_by" in call.query:
        raise Refused("AMBIGUITY_DURING_PROCESSING", "Ambiguity while processing the request", param_name="sort_by")
    rows: Iterable[Row] = call.world.rows[module.name].values()
    ids = call.ids()
    if ids is not None:
        held = call.world.rows[module.name]
        rows = [held[id] for id in ids if id in held]
    if since is not None:
        rows = [row for row in rows if row["Modified_Time"] >= since]
        if not rows:
            return Reply(304)
    rows, key, how = order(call, rows)
    page, info = call.site.pages.cut(call, rows, key)
    if not page:
        return Reply(204)
    told = [show(call.world, module, row, names) if names is not None else show_whole(call.world, module, row) for row in page]
    return Reply.json(200, {"data": told, "info": info | (how if call.version >= 3 else {})})


def order(call: Call, rows: Iterable[Row]) -> tuple[list[Row], Key, Row]:
    """The rows as sort_by and sort_order say, the key they are sorted by, and how `info` tells it."""
    by, way = call.query.get("sort_by", "id"), call.query.get("sort_order", "desc")
    if by not in ORDERS:
        raise invalid(param_name="sort_by", supported_values=list(ORDERS))
    if way not in ("asc", "desc"):
        raise invalid(param_name="sort_order", supported_values=["asc", "desc"])

    def key(row: Row) -> tuple[Any, str]:
        return (row["id"] if by == "id" else row[by], row["id"])

    return sorted(rows, key=key, reverse=way == "desc"), key, {"sort_by": by, "sort_order": way}


def single(call: Call) -> Reply:
    """One record with all its fields (or those asked for). 204 when nothing has the id."""
    module, id = call.module(), call.parts["id"]
    if not ID.fullmatch(id):
        raise no_record()
    row = call.world.rows[module.name].get(id)
    if row is None:
        return Reply(204)
    names = call.query.get("fields")
    told = show(call.world, module, row, names.split(",")) if names else show_whole(call.world, module, row)
    return Reply.json(200, {"data": [told]})


def deleted(call: Call) -> Reply:
    """What was deleted, latest first. The name of what is out of the recycle bin, too, is not told."""
    module, kind, since = call.module(), call.query.get("type", "all"), call.since()
    if kind not in ("all", "recycle", "permanent"):
        raise invalid(param_name="type", supported_values=["all", "recycle", "permanent"])
    found = [each for each in call.world.gone[module.name].values() if kind == "all" or each.permanent is (kind == "permanent")]
    if since is not None:
        found = [each for each in found if each.at >= since]
        if not found:
            return Reply(304)
    found.sort(key=lambda each: (each.at, each.row["id"]), reverse=True)
    size, page = call.number("per_page", 200, 200), call.number("page", 1)
    part = found[(page - 1) * size : page * size]
    if not part:
        return Reply(204)
    info = {"per_page": size, "count": len(part), "page": page, "more_records": page * size < len(found)}
    return Reply.json(200, {"data": [_gone(call, each) for each in part], "info": info})


def _gone(call: Call, each: Gone) -> Row:
    made_by = each.row.get("Created_By")
    return {
        "deleted_by": user(call.world, each.by),
        "id": each.row["id"],
        "display_name": None if each.permanent else each.name,
        "type": "permanent" if each.permanent else "recycle",
        "created_by": user(call.world, made_by) if made_by else None,
        "deleted_time": call.told(each.at),
    }


def counted(call: Call) -> Reply:
    return Reply.json(200, {"count": len(call.world.rows[call.module().name])})


def moments(row: Row) -> tuple[datetime, str]:
    """The order related lists come in."""
    return row["Modified_Time"], row["id"]
