"""Who shares a project: users and teams, each with an access level."""

from __future__ import annotations

from sandbox.asana import values
from sandbox.asana.routes import Call, Done, empty, route
from sandbox.asana.state import Record, Refused, State

LEVELS = frozenset({"admin", "editor", "commenter", "viewer"})


def join(state: State, project: Record, member: str, level: str, by: str) -> Record:
    """Share a project with a user or a team; sharing again changes nothing but the level."""
    gid = state.members_of[project["gid"]].get(member)
    if gid is not None:
        state.memberships[gid]["access_level"] = level
        return state.memberships[gid]
    gid = state.new_gid()
    membership = {"gid": gid, "resource_type": "membership", "resource_subtype": "project_membership", "access_level": level}
    state.memberships[gid] = membership | {"parent": project["gid"], "member": member, "write_access": "full_write"}
    state.members_of[project["gid"]][member] = gid
    state.note_visibility(project)
    return state.memberships[gid]


def leave(state: State, membership: Record) -> None:
    del state.members_of[membership["parent"]][membership["member"]]
    del state.memberships[membership["gid"]]


def _member(call: Call, given: str) -> str:
    return given if given in call.state.teams else call.state.user(given, call.by, "member")


@route("POST", "/memberships")
def post_membership(call: Call) -> Done:
    project = call.state.project(call.need("parent"), call.by, "parent")
    level = call.data.get("access_level", project["default_access_level"])
    if level not in LEVELS:
        raise Refused(400, f"access_level: Not a valid value: {level}")
    return call.created("membership", join(call.state, project, _member(call, call.need("member")), level, call.by))


@route("GET", "/memberships")
def get_memberships(call: Call) -> Done:
    """Those of a project, or those of a member with `resource_subtype`."""
    state, query = call.state, call.query
    if "parent" in query:
        project = state.project(query["parent"], call.by, "parent")
        rows = [state.memberships[gid] for gid in state.members_of[project["gid"]].values()]
    elif "member" in query and query.get("resource_subtype") == "project_membership":
        rows = [row for row in state.memberships.values() if state.sees(call.by, state.projects[row["parent"]])]
    else:
        raise Refused(400, "parent: Missing input, or member together with resource_subtype")
    if "member" in query:
        member = _member(call, query["member"])
        rows = [row for row in rows if row["member"] == member]
    return call.listed("membership", rows)


def _find(call: Call) -> Record:
    membership = call.state.memberships.get(call.ids[0])
    if membership is None:
        raise Refused(404, f"membership: Unknown object: {call.ids[0]}")
    call.state.project(membership["parent"], call.by)
    return membership


@route("GET", "/memberships/{}")
def get_membership(call: Call) -> Done:
    return call.found("membership", _find(call))


@route("PUT", "/memberships/{}")
def put_membership(call: Call) -> Done:
    membership = _find(call)
    membership.update(values.one_of(call.data, "access_level", LEVELS))
    return call.found("membership", membership)


@route("DELETE", "/memberships/{}")
def delete_membership(call: Call) -> Done:
    leave(call.state, _find(call))
    return empty()


@route("GET", "/projects/{}/project_memberships")
def get_project_memberships(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    rows = (call.state.memberships[gid] for gid in call.state.members_of[project["gid"]].values())
    return call.listed("project_membership", rows)


@route("POST", "/projects/{}/addMembers")
def add_members(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    for user in values.people(call.state, call.need("members"), call.by, "members"):
        join(call.state, project, user, project["default_access_level"], call.by)
    return call.found("project", project)


@route("POST", "/projects/{}/removeMembers")
def remove_members(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    for user in values.people(call.state, call.need("members"), call.by, "members"):
        gid = call.state.members_of[project["gid"]].get(user)
        if gid is not None:
            leave(call.state, call.state.memberships[gid])
    return call.found("project", project)


@route("POST", "/projects/{}/addFollowers")
def add_followers(call: Call) -> Done:
    project = call.state.project(call.ids[0], call.by)
    for user in values.people(call.state, call.need("followers"), call.by, "followers"):
        join(call.state, project, user, project["default_access_level"], call.by)
        if user not in project["followers"]:
            project["followers"].append(user)
    return call.found("project", project)
