"""What `describe` tells of a workspace: what a project and a task hold, the workspace's custom fields, its people."""

from __future__ import annotations

from connectors.asana.batch import Api
from connectors.asana.fields import WRITABLE, Fields
from connectors.asana.shapes import FIELDS
from connectors.base import Description, FieldInfo, Member, ObjectInfo


async def about(api: Api, fields: Fields, workspace: str) -> Description:
    await fields.load()
    custom = tuple(
        FieldInfo(one.name, one.name, one.type, custom=True, writable=one.type in WRITABLE, choices={name: name for name in one.options})
        for one in fields.definitions
    )
    own = {kind: tuple(FieldInfo(name, name, "built in") for name in sorted(FIELDS[kind] - {"custom"})) for kind in FIELDS}
    objects = (ObjectInfo("project", "Project", (*own["project"], *custom), "project"), ObjectInfo("task", "Task", own["task"], "task"))
    rows = await api.every(f"/workspaces/{workspace}/users", ("name", "email"))
    return Description(objects, people=tuple(Member(row["gid"], row.get("name") or "", row.get("email") or "") for row in rows))
