"""Links attached to tasks and projects, and tags. Files are not part of this stand-in."""

from __future__ import annotations

from sandbox.asana import values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import SITE, Record, Refused


def _parent(call: Call, gid: str) -> str:
    """The task or project an attachment hangs on, if this user sees it."""
    found = call.state.project(gid, call.by, "parent") if gid in call.state.projects else call.state.task(gid, call.by, "parent")
    return str(found["gid"])


@route("POST", "/attachments")
def post_attachment(call: Call) -> Done:
    """An external link. Unlike other creates this answers 200."""
    if call.data.get("resource_subtype") != "external":
        raise Refused(400, "resource_subtype: Uploading files is not part of this stand-in; use external")
    parent, url, name = _parent(call, call.need("parent")), call.need("url"), call.need("name")
    if call.data.get("connect_to_app") and call.token.kind != "oauth":
        raise Refused(403, "connect_to_app: This field needs an OAuth token")
    attachment: Record = {"gid": call.state.new_gid(), "resource_type": "attachment", "resource_subtype": "external", "name": name}
    attachment |= {"created_at": call.state.now(), "download_url": None, "permanent_url": None, "view_url": url, "host": "external"}
    attachment |= {"parent": parent, "connected_to_app": bool(call.data.get("connect_to_app"))}
    call.state.attachments[attachment["gid"]] = attachment
    call.state.attachments_of[parent].append(attachment["gid"])
    return call.found("attachment", attachment)


@route("GET", "/attachments")
def get_attachments(call: Call) -> Done:
    if "parent" not in call.query:
        raise Refused(400, "parent: Missing input")
    gids = call.state.attachments_of.get(_parent(call, call.query["parent"]), [])
    return call.listed("attachment", (call.state.attachments[gid] for gid in gids))


def _attachment(call: Call) -> Record:
    attachment = call.state.attachments.get(call.ids[0])
    if attachment is None:
        raise Refused(404, f"attachment: Unknown object: {call.ids[0]}")
    _parent(call, attachment["parent"])
    return attachment


@route("GET", "/attachments/{}")
def get_attachment(call: Call) -> Done:
    return call.found("attachment", _attachment(call))


@route("DELETE", "/attachments/{}")
def delete_attachment(call: Call) -> Done:
    attachment = _attachment(call)
    call.state.attachments_of[attachment["parent"]].remove(attachment["gid"])
    del call.state.attachments[attachment["gid"]]
    return empty()


@route("POST", "/tags")
def post_tag(call: Call) -> Done:
    if call.data.get("workspace") not in (None, call.state.workspace):
        raise Refused(404, f"workspace: Unknown object: {call.data['workspace']}")
    gid, looks = call.state.new_gid(), {"name": "", "color": None, "notes": ""}
    looks |= values.simple(call.data, {"name": str, "notes": str})
    tag = {"gid": gid, "resource_type": "tag", "created_at": call.state.now(), "workspace": call.state.workspace} | looks
    call.state.tags[gid] = tag | {"permalink_url": f"{SITE}/0/{gid}/list"}
    return call.created("tag", call.state.tags[gid])


@route("GET", "/workspaces/{}/tags")
def get_tags(call: Call) -> Done:
    return call.listed("tag", call.state.tags.values())


@route("GET", "/tags/{}")
def get_tag(call: Call) -> Done:
    if call.ids[0] not in call.state.tags:
        raise Refused(404, f"tag: Unknown object: {call.ids[0]}")
    return call.found("tag", call.state.tags[call.ids[0]])
