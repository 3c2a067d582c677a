"""What the stand-in of Asana remembers: records as plain dicts keyed by gid, and the indexes that keep every call cheap.

References inside a record are gids; how a record looks from outside is the business of `shapes`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal

Record = dict[str, Any]
Clock = Callable[[], datetime]
TokenKind = Literal["pat", "oauth"]
SITE = "https://app.asana.com"
PRIVATE = "private"


class Refused(Exception):
    """The request ends here with `status`; `extra` joins the error body, `headers` the reply's."""

    def __init__(self, status: int, message: str, *, extra: Record | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.extra, self.headers = status, message, extra or {}, headers or {}


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the behaviour is unconfirmed, or depends on the plan. `new_tasks`: where a task enters a section at birth.

    `local_targets`: whether webhooks may lead to this machine, which the real service refuses.
    """

    plan: Literal["paid", "free"] = "paid"
    external: Literal["oauth", "any"] = "oauth"
    external_unique: bool = False
    search_lag: float = 30.0
    shuffle_batch: bool = True
    date_fields: Literal["object", "string"] = "object"
    new_tasks: Literal["top", "bottom"] = "top"
    local_targets: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    kind: TokenKind
    user: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be told to the streams of every gid in `reaches` and of the workspace."""

    at: datetime
    user: str
    kind: str
    gid: str
    action: str
    subtype: str
    parent: tuple[str, str] | None
    change: Record | None
    reaches: tuple[str, ...]


class State:
    """All records and indexes. Lists in `sections_of`, `tasks_in` and `subtasks_of` are in display order."""

    def __init__(self, clock: Clock, settings: Settings, seed: int) -> None:
        self.clock = clock
        self.settings = settings
        self.random = Random(seed)
        self.tokens: dict[str, Token] = {}
        self.users: dict[str, Record] = {}
        self.workspaces: dict[str, Record] = {}
        self.teams: dict[str, Record] = {}
        self.projects: dict[str, Record] = {}
        self.sections: dict[str, Record] = {}
        self.tasks: dict[str, Record] = {}
        self.stories: dict[str, Record] = {}
        self.status_updates: dict[str, Record] = {}
        self.custom_fields: dict[str, Record] = {}
        self.enum_options: dict[str, Record] = {}
        self.settings_of_fields: dict[str, Record] = {}
        self.memberships: dict[str, Record] = {}
        self.attachments: dict[str, Record] = {}
        self.tags: dict[str, Record] = {}
        self.by_email: dict[str, str] = {}
        self.members_of: dict[str, dict[str, str]] = defaultdict(dict)
        self.sections_of: dict[str, list[str]] = defaultdict(list)
        self.tasks_in: dict[str, list[str]] = defaultdict(list)
        self.subtasks_of: dict[str, list[str]] = defaultdict(list)
        self.stories_of: dict[str, list[str]] = defaultdict(list)
        self.statuses_of: dict[str, list[str]] = defaultdict(list)
        self.attachments_of: dict[str, list[str]] = defaultdict(list)
        self.externals: dict[str, list[str]] = defaultdict(list)
        self.webhooks: dict[str, Record] = {}
        self.hooks: Any = None  # the Webhooks that tell of this state: they know it
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []
        self.streams: dict[str, list[int]] = defaultdict(list)
        self.visible_history: list[tuple[datetime, str, str]] = []
        self._were_visible: set[tuple[str, str]] = set()
        self.syncs: dict[str, tuple[str, int, datetime]] = {}
        self.search_limit: Callable[[str], float] | None = None
        self.calls: Counter[str] = Counter()
        self.offset_era = 0
        self.batch_faults: deque[tuple[int, bool] | None] = deque()
        self._next = 1_200_000_000_000_000
        self.workspace = self._first_workspace()

    def _first_workspace(self) -> str:
        gid = self.new_gid()
        fields = {"name": "Example Works", "is_organization": True, "email_domains": ["example.com"]}
        self.workspaces[gid] = {"gid": gid, "resource_type": "workspace", **fields}
        return gid

    def new_gid(self) -> str:
        self._next += 1
        return str(self._next)

    def now(self) -> str:
        """The moment as Asana writes it: UTC with milliseconds."""
        at = self.clock().astimezone(UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"

    def user(self, name: Any, by: str, field: str = "user") -> str:
        """The gid of a user named by gid, e-mail or `me`."""
        if name == "me":
            return by
        name = str(name)
        found = name if name in self.users else self.by_email.get(name.lower())
        if found is None:
            raise Refused(400, f"{field}: Not a recognized ID: {name}")
        return found

    def project(self, gid: Any, by: str, field: str = "project") -> Record:
        """A project this user can see."""
        project = self.projects.get(str(gid))
        if project is None or not self.sees(by, project):
            raise Refused(404, f"{field}: Unknown object: {gid}")
        return project

    def section(self, gid: Any, by: str, field: str = "section") -> Record:
        section = self.sections.get(str(gid))
        if section is None or not self.sees(by, self.projects[section["project"]]):
            raise Refused(404, f"{field}: Unknown object: {gid}")
        return section

    def task(self, gid: Any, by: str, field: str = "task") -> Record:
        """A task this user can see, by gid or as `external:<id>`."""
        gid = str(gid)
        if gid.startswith("external:"):
            gid = next(iter(self.externals.get(gid.removeprefix("external:"), ())), gid)
        task = self.tasks.get(gid)
        if task is None or not self.sees_task(by, task):
            raise Refused(404, f"{field}: Unknown object: {gid}")
        return task

    def sees(self, user: str, project: Record) -> bool:
        if project["privacy_setting"] == "public_to_workspace" and not self.users[user]["guest"]:
            return True
        members = self.members_of[project["gid"]]
        if user in members or user == project["owner"]:
            return True
        teams = [self.teams[member] for member in members if member in self.teams]
        if project["team"] and project["privacy_setting"] == "private_to_team":
            teams.append(self.teams[project["team"]])
        return any(user in team["members"] for team in teams)

    def sees_task(self, user: str, task: Record) -> bool:
        homes = task["memberships"]
        if homes and self.sees(user, self.projects[homes[0]["project"]]):
            return True
        if user in (task["created_by"], task["assignee"]) or user in task["followers"]:
            return True
        if any(self.sees(user, self.projects[home["project"]]) for home in homes[1:]):
            return True
        return task["parent"] is not None and self.sees_task(user, self.tasks[task["parent"]])

    def note_visibility(self, project: Record) -> None:
        """Remember that people other than its maker can see this project, under this name."""
        entry = (project["gid"], project["name"])
        if entry not in self._were_visible and self._shown(project):
            self._were_visible.add(entry)
            self.visible_history.append((self.clock(), *entry))

    def _shown(self, project: Record) -> bool:
        maker = project["created_by"]
        others = {*self.members_of[project["gid"]], project["owner"]} - {maker, None}
        return project["privacy_setting"] != PRIVATE or bool(others)

    def tasks_of(self, project: str) -> Iterator[Record]:
        """A project's top-level tasks, in display order."""
        for section in self.sections_of[project]:
            for gid in self.tasks_in[section]:
                yield self.tasks[gid]

    def happened(
        self, kind: str, record: Record, action: str, by: str, *, parent: tuple[str, str] | None = None, change: Record | None = None
    ) -> None:
        """Tell the streams. An event bubbles up from a story to its task, the task's parents, and their projects."""
        reaches = tuple(self._reaches(kind, record, parent))
        event = Event(self.clock(), by, kind, record["gid"], action, record.get("resource_subtype", ""), parent, change, reaches)
        for gid in reaches:
            self.streams[gid].append(len(self.events))
        self.events.append(event)
        for listener in self.listeners:
            listener(event)

    def _reaches(self, kind: str, record: Record, parent: tuple[str, str] | None) -> dict[str, None]:
        reached = {record["gid"]: None}
        if kind == "section":
            reached[record["project"]] = None
        if parent and parent[0] in ("project", "section"):
            reached[parent[1]] = None
        task = record if kind == "task" else self.tasks.get(record.get("task", ""))
        while task is not None:
            reached[task["gid"]] = None
            reached |= {home[part]: None for home in task["memberships"] for part in ("project", "section")}
            task = self.tasks.get(task["parent"] or "")
        return reached
