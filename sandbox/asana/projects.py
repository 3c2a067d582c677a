"""Projects: made, changed, listed, deleted; and the custom fields attached to them."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.asana import dates, sections, tasks, values
from sandbox.asana.memberships import join
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import SITE, Record, Refused, State

VIEWS = frozenset({"list", "board", "calendar", "timeline"})
PRIVACY = frozenset({"public_to_workspace", "private_to_team", "private"})
LEVELS = frozenset({"admin", "editor", "commenter", "viewer"})
HUES = ("pink", "green", "blue", "red", "teal", "brown", "orange", "purple", "warm-gray")
COLORS = frozenset({"none", None, *(f"{shade}-{hue}" for shade in ("dark", "light") for hue in HUES)})
TOLD = ("name", "notes", "due_on", "start_on", "owner", "archived", "privacy_setting", "custom_fields")
FIELDS_MOST = 20
COUNTS = tuple(f"num_{state}{kind}" for kind in ("tasks", "milestones") for state in ("", "incomplete_", "completed_"))


def create(state: State, data: Record, by: str) -> Record:
    """A new project, holding one section without a name of its own. Its maker is a member and, unless told otherwise, the owner."""
    team = data.get("team")
    if data.get("workspace") is None and team is None:
        raise Refused(400, "workspace: You should specify one of workspace, team")
    if data.get("workspace") not in (None, state.workspace):
        raise Refused(404, f"workspace: Unknown object: {data['workspace']}")
    if team is not None and team not in state.teams:
        raise Refused(404, f"team: Unknown object: {team}")
    blank = _blank(state, by, team)
    project = blank | _checked(state, data, blank, by)
    project["followers"] = [by, *values.people(state, data.get("followers") or [], by, "followers")]
    state.projects[project["gid"]] = project
    for user in dict.fromkeys(project["followers"]):
        join(state, project, user, "admin" if user == by else "editor", by)
    sections.create(state, project["gid"], "Untitled section", by)
    state.happened("project", project, "added", by, parent=("workspace", state.workspace))
    state.note_visibility(project)
    return project


def _blank(state: State, by: str, team: str | None) -> Record:
    now, gid = state.now(), state.new_gid()
    return {
        "gid": gid, "resource_type": "project", "name": "", "notes": "", "html_notes": "<body></body>", "archived": False, "color": None,
        "icon": None, "completed": False, "completed_at": None, "created_at": now, "created_by": by, "modified_at": now,
        "default_view": "list", "due_on": None, "start_on": None, "privacy_setting": "public_to_workspace", "owner": by, "team": team,
        "workspace": state.workspace, "followers": [], "custom_fields": {}, "custom_field_settings": [],
        "default_access_level": "editor", "minimum_access_level_for_customization": "editor", "minimum_access_level_for_sharing": "editor",
        "permalink_url": f"{SITE}/1/{state.workspace}/project/{gid}",
    }  # fmt: skip


def _checked(state: State, data: Record, held: Record, by: str) -> Record:
    """The changes a body asks for, as they will be held. Raises Refused and changes nothing."""
    new = values.simple(data, {"name": str, "archived": bool})
    new |= values.one_of(data, "default_view", VIEWS) | values.one_of(data, "privacy_setting", PRIVACY)
    new |= values.one_of(data, "color", COLORS) | values.one_of(data, "default_access_level", LEVELS)
    new |= values.texts(data, "project", "notes", "html_notes") | dates.project_dates(data, held)
    if data.get("public") is not None and "privacy_setting" not in data:
        new["privacy_setting"] = "public_to_workspace" if data["public"] else "private"
    if "owner" in data:
        new["owner"] = None if data["owner"] is None else state.user(data["owner"], by, "owner")
    if data.get("custom_fields"):
        new["custom_fields"] = held["custom_fields"] | values.custom_fields(state, data, fields_of(state, held), by)
    if data.get("team") not in (None, held["team"]):
        if data["team"] not in state.teams:
            raise Refused(404, f"team: Unknown object: {data['team']}")
        new["team"] = data["team"]
    return new


def fields_of(state: State, project: Record) -> set[str]:
    return {state.settings_of_fields[gid]["custom_field"] for gid in project["custom_field_settings"]}


def change(state: State, project: Record, data: Record, by: str) -> Record:
    """Change the named fields of a project, and tell the streams which."""
    if data.get("workspace") not in (None, project["workspace"]):
        raise Refused(400, "workspace: The workspace of a project cannot be changed")
    new = _checked(state, data, project, by)
    changed = [name for name in new if new[name] != project[name]]
    project.update(new)
    if new.get("owner"):
        join(state, project, new["owner"], "admin", by)
    for name in changed:
        if name in TOLD:
            state.happened("project", project, "changed", by, change={"field": name, "action": "changed"})
    if changed:
        project["modified_at"] = state.now()
    state.note_visibility(project)
    return project


def delete(state: State, project: Record, by: str) -> None:
    """Gone for every call, with its sections and the tasks that live nowhere else."""
    gid = project["gid"]
    for task in list(state.tasks_of(gid)):
        if len(task["memberships"]) == 1:
            tasks.delete(state, task, by)
        else:
            task["memberships"] = [home for home in task["memberships"] if home["project"] != gid]
    state.happened("project", project, "deleted", by)
    for section in state.sections_of.pop(gid):
        del state.sections[section]
        state.tasks_in.pop(section, None)
    for membership in state.members_of.pop(gid, {}).values():
        del state.memberships[membership]
    del state.projects[gid]


def _deprecated(call: Call, done: Done) -> Done:
    """The old ways of sharing with a team still work, and are told about in a header."""
    if call.data.get("team") or call.query.get("team") or call.data.get("privacy_setting") == "private_to_team":
        done.headers["Asana-Change"] = "name=team_sharing;info=https://developers.asana.com/docs/deprecations;affected=true"
    return done


@route("POST", "/projects")
def post_project(call: Call) -> Done:
    return _deprecated(call, call.created("project", create(call.state, call.data, call.by)))


@route("POST", "/workspaces/{}/projects")
def post_project_in_workspace(call: Call) -> Done:
    return call.created("project", create(call.state, {**call.data, "workspace": call.ids[0]}, call.by))


@route("POST", "/teams/{}/projects")
def post_project_in_team(call: Call) -> Done:
    return call.created("project", create(call.state, {**call.data, "team": call.ids[0]}, call.by))


@route("GET", "/projects/{}")
def get_project(call: Call) -> Done:
    return call.found("project", call.state.project(call.ids[0], call.by))


@route("PUT", "/projects/{}")
def put_project(call: Call) -> Done:
    return _deprecated(call, call.found("project", change(call.state, call.state.project(call.ids[0], call.by), call.data, call.by)))


@route("DELETE", "/projects/{}")
def delete_project(call: Call) -> Done:
    delete(call.state, call.state.project(call.ids[0], call.by), call.by)
    return empty()


@route("GET", "/projects")
def get_projects(call: Call) -> Done:
    return _deprecated(call, call.listed("project", _visible(call, call.query.get("team"))))


@route("GET", "/workspaces/{}/projects")
def get_projects_of_workspace(call: Call) -> Done:
    if call.ids[0] not in call.state.workspaces:
        raise Refused(404, f"workspace: Unknown object: {call.ids[0]}")
    return call.listed("project", _visible(call))


@route("GET", "/teams/{}/projects")
def get_projects_of_team(call: Call) -> Done:
    if call.ids[0] not in call.state.teams:
        raise Refused(404, f"team: Unknown object: {call.ids[0]}")
    return call.listed("project", _visible(call, call.ids[0]))


def _visible(call: Call, team: str | None = None) -> Iterator[Record]:
    state, archived = call.state, call.query.get("archived")
    workspace = call.query.get("workspace", state.workspace)
    for project in state.projects.values():
        if archived is not None and project["archived"] != (archived.lower() == "true"):
            continue
        if team is not None and team != project["team"] and team not in state.members_of[project["gid"]]:
            continue
        if project["workspace"] == workspace and state.sees(call.by, project):
            yield project


@route("GET", "/projects/{}/task_counts")
def get_task_counts(call: Call) -> Done:
    """All counts are left out unless asked for."""
    rows = list(call.state.tasks_of(call.state.project(call.ids[0], call.by)["gid"]))
    milestones = [row for row in rows if row["resource_subtype"] == "milestone"]
    counts = {"tasks": rows, "milestones": milestones}
    data = {name: _count(counts[name.rpartition("_")[2]], name) for name in COUNTS}
    asked = set(call.fields.split(","))
    return Done(200, {"data": {name: number for name, number in data.items() if name in asked}})


def _count(rows: list[Record], name: str) -> int:
    if "incomplete" in name:
        return sum(not row["completed"] for row in rows)
    return sum(row["completed"] for row in rows) if "completed" in name else len(rows)


@route("GET", "/projects/{}/custom_field_settings")
def get_field_settings(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    return call.listed("custom_field_setting", (call.state.settings_of_fields[gid] for gid in project["custom_field_settings"]))


@route("POST", "/projects/{}/addCustomFieldSetting")
def add_field_setting(call: Call) -> Done:
    """Attach a field. A field that is attached already stays as it is."""
    state, project = call.state, call.state.project(call.ids[0], call.by)
    field = call.need("custom_field")
    if not isinstance(field, str) or field not in state.custom_fields:
        raise Refused(400, f"custom_field: Not a recognized ID: {field}")
    for gid in project["custom_field_settings"]:
        if state.settings_of_fields[gid]["custom_field"] == field:
            return call.found("custom_field_setting", state.settings_of_fields[gid])
    if len(project["custom_field_settings"]) >= FIELDS_MOST:
        raise Refused(400, f"custom_field: A project can have at most {FIELDS_MOST} custom fields")
    setting: Record = {
        "gid": state.new_gid(),
        "resource_type": "custom_field_setting",
        "is_important": bool(call.data.get("is_important", False)),
    }
    setting |= {"project": project["gid"], "custom_field": field}
    state.settings_of_fields[setting["gid"]] = setting
    project["custom_field_settings"].append(setting["gid"])
    return call.found("custom_field_setting", setting)


@route("POST", "/projects/{}/removeCustomFieldSetting")
def remove_field_setting(call: Call) -> Done:
    state, project = call.state, call.state.project(call.ids[0], call.by)
    for gid in list(project["custom_field_settings"]):
        if state.settings_of_fields[gid]["custom_field"] == call.need("custom_field"):
            project["custom_field_settings"].remove(gid)
            del state.settings_of_fields[gid]
    return empty()
