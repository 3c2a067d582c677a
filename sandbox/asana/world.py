"""The world around the API: who exists, and what people do in the product itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.asana import fields, projects, sections, stories, tasks
from sandbox.asana.state import SITE, Clock, Record, Settings, State, Token, TokenKind


class World(State):
    """The state plus what a test or a demo sets up in it. `token` is a personal access token of the integration's own user."""

    def __init__(self, clock: Clock, settings: Settings, seed: int = 0) -> None:
        super().__init__(clock, settings, seed)
        self.bot = self.add_user("Handoff", "handoff@example.com")
        self.token = self.add_token()

    def add_user(self, name: str, email: str, guest: bool = False) -> str:
        """A user of the workspace; a guest sees only what is shared with them."""
        gid = self.new_gid()
        kind = {"gid": gid, "resource_type": "user", "name": name, "email": email, "photo": None}
        self.users[gid] = kind | {"workspaces": [self.workspace], "guest": guest}
        self.by_email[email.lower()] = gid
        return gid

    def add_team(self, name: str, members: Sequence[str] | None = None) -> str:
        """A team; of everybody but guests, unless its members are named."""
        gid = self.new_gid()
        everybody = [user for user, record in self.users.items() if not record["guest"]]
        kind = {"gid": gid, "resource_type": "team", "name": name, "description": "", "visibility": "public"}
        team = {"members": list(everybody if members is None else members), "workspace": self.workspace}
        self.teams[gid] = kind | team | {"permalink_url": f"{SITE}/0/{gid}/list"}
        return gid

    def add_token(self, kind: TokenKind = "pat", user: str | None = None) -> str:
        """A token of a user (the integration's own when none is named)."""
        text = f"{kind}/{len(self.tokens) + 1}/{self.random.getrandbits(64):016x}"
        self.tokens[text] = Token(text, kind, user or self.bot)
        return text

    def revoke(self, token: str) -> None:
        del self.tokens[token]

    def add_custom_field(self, name: str, type: str, options: Sequence[str] = (), locked: bool = False, precision: int = 2) -> str:
        """A custom field of the workspace: text, number, enum, multi_enum, date or people."""
        data = {"name": name, "type": type, "enum_options": [{"name": option} for option in options], "precision": precision}
        gid: str = fields.create(self, data, self.bot)["gid"]
        self.custom_fields[gid]["locked"] = locked
        return gid

    def add_project(self, name: str, by: str | None = None, **data: Any) -> str:
        """A project a person makes."""
        gid: str = projects.create(self, {"name": name, "workspace": self.workspace, **data}, by or self.bot)["gid"]
        return gid

    def edit_project(self, gid: str, data: Record, by: str) -> None:
        projects.change(self, self.projects[gid], data, by)

    def edit_task(self, gid: str, data: Record, by: str) -> None:
        """A person changes a task."""
        tasks.change(self, self.tasks[gid], data, by)

    def complete_task(self, gid: str, by: str) -> None:
        tasks.change(self, self.tasks[gid], {"completed": True}, by)

    def reopen_task(self, gid: str, by: str) -> None:
        tasks.change(self, self.tasks[gid], {"completed": False}, by)

    def move_task(self, gid: str, section: str, by: str) -> None:
        """A person drags a task into another section."""
        sections.put_in(self, self.tasks[gid], self.sections[section], {}, by, otherwise=0)

    def add_task(self, project: str, name: str, by: str) -> str:
        """A person's own task in a project; gives its gid."""
        gid: str = tasks.create(self, {"name": name, "projects": [project]}, by)["gid"]
        return gid

    def delete_project(self, gid: str, by: str) -> None:
        projects.delete(self, self.projects[gid], by)

    def delete_task(self, gid: str, by: str) -> None:
        tasks.delete(self, self.tasks[gid], by)

    def comment(self, gid: str, text: str, by: str) -> str:
        """A person says something under a task; gives the story's gid."""
        said: str = stories.comment(self, self.tasks[gid], {"text": text}, by)["gid"]
        return said

    def break_in_batch(self, nth: int, status: int, *, done: bool = False) -> None:
        """The n-th action carried out in a batch from now on is answered with `status`; `done`: after it was carried out all the same."""
        self.batch_faults.extend([*[None] * (nth - 1), (status, done)])

    def expire_offsets(self) -> None:
        """Every pagination token given so far is dead."""
        self.offset_era += 1

    def expire_sync_tokens(self) -> None:
        """Every event stream has to start over."""
        self.syncs.clear()
