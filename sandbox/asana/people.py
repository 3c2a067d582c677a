"""Users, teams and workspaces."""

from __future__ import annotations

from sandbox.asana.routes import Call, Done, route
from sandbox.asana.state import Record, Refused

USERS_MOST = 2000


def _workspace(call: Call) -> Record:
    workspace = call.state.workspaces.get(call.ids[0])
    if workspace is None:
        raise Refused(404, f"workspace: Unknown object: {call.ids[0]}")
    return workspace


def _team(call: Call) -> Record:
    team = call.state.teams.get(call.ids[0])
    if team is None:
        raise Refused(404, f"team: Unknown object: {call.ids[0]}")
    return team


def _user(call: Call, name: str) -> Record:
    try:
        return call.state.users[call.state.user(name, call.by)]
    except Refused as refusal:
        raise Refused(404, f"user: Unknown object: {name}") from refusal


@route("GET", "/workspaces")
def get_workspaces(call: Call) -> Done:
    return call.listed("workspace", call.state.workspaces.values())


@route("GET", "/workspaces/{}")
def get_workspace(call: Call) -> Done:
    return call.found("workspace", _workspace(call))


@route("GET", "/users")
def get_users(call: Call) -> Done:
    """Everybody, by gid; those of a team when one is named."""
    users = call.state.users
    chosen = call.state.teams[call.query["team"]]["members"] if call.query.get("team") in call.state.teams else users
    return call.listed("user", (users[gid] for gid in sorted(chosen)))


@route("GET", "/users/{}")
def get_user(call: Call) -> Done:
    return call.found("user", _user(call, call.ids[0]))


@route("GET", "/workspaces/{}/users")
def get_users_of_workspace(call: Call) -> Done:
    """By name, cut at two thousand without a word."""
    _workspace(call)
    ordered = sorted(call.state.users.values(), key=lambda user: str(user["name"]).casefold())
    return call.listed("user", ordered[:USERS_MOST], most=None)


@route("GET", "/workspaces/{}/users/{}")
def get_user_of_workspace(call: Call) -> Done:
    _workspace(call)
    return call.found("user", _user(call, call.ids[1]))


@route("GET", "/workspaces/{}/teams")
def get_teams_of_workspace(call: Call) -> Done:
    _workspace(call)
    return call.listed("team", call.state.teams.values())


@route("GET", "/users/{}/teams")
def get_teams_of_user(call: Call) -> Done:
    user = _user(call, call.ids[0])
    if call.query.get("organization") != call.state.workspace:
        raise Refused(400, "organization: Missing input")
    return call.listed("team", (team for team in call.state.teams.values() if user["gid"] in team["members"]))


@route("GET", "/teams/{}")
def get_team(call: Call) -> Done:
    return call.found("team", _team(call))


@route("GET", "/teams/{}/users")
def get_users_of_team(call: Call) -> Done:
    return call.listed("user", (call.state.users[gid] for gid in _team(call)["members"]))
