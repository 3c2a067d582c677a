"""The hands of salespeople and project managers: each system through its own API, by code that shares nothing with the connectors."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from tests.real.kanboard import Kanboard
from tests.real.odoo import Odoo
from tests.real.redmine import Redmine
from tests.real.tryton import Tryton

MANAGER = "mia.manager@example.com"


@dataclass
class Task:
    """A task as people see it: names instead of ids, days instead of moments."""

    name: str
    notes: str = ""
    section: str = ""
    under: str = ""
    due: str = ""
    start: str = ""
    assignee: str = ""
    after: frozenset[str] = frozenset()
    done: bool = False
    comments: tuple[str, ...] = ()


@dataclass
class Project:
    """`copies` is how many projects there are of that name. `tasks` holds every task, sub-tasks too, also those of one name twice."""

    name: str
    notes: str = ""
    sections: tuple[str, ...] = ()
    tasks: list[Task] = field(default_factory=list)
    copies: int = 1

    def task(self, name: str) -> Task:
        (found,) = (task for task in self.tasks if task.name == name)
        return found


@dataclass(frozen=True)
class Told:
    """What the CRM says of a deal's project."""

    url: str
    status: str
    progress: float | str


class Crm(Protocol):
    """A CRM and those who sell with it. `system` is the connector's name; ids are the CRM's own, as text."""

    system: str

    @property
    def env(self) -> Mapping[str, str]: ...
    def customer(self, name: str) -> str: ...
    def deals(self, names: Iterable[str], customer: str) -> list[str]: ...
    def win(self, deals: Iterable[str]) -> None: ...
    def lose(self, deal: str) -> None: ...
    def reopen(self, deal: str) -> None: ...
    def rename(self, deal: str, name: str) -> None: ...
    def told(self) -> Mapping[str, Told]: ...


class Tool(Protocol):
    """A project tool and those who work with it."""

    system: str

    @property
    def env(self) -> Mapping[str, str]: ...
    def projects(self) -> dict[str, Project]: ...
    def count(self) -> int: ...
    def rename_task(self, project: str, task: str, name: str) -> None: ...
    def finish(self, project: str, task: str) -> None: ...


def gathered(projects: Iterable[Project]) -> dict[str, Project]:
    found: dict[str, Project] = {}
    for one in projects:
        if one.name in found:
            found[one.name].copies += 1
        else:
            found[one.name] = one
    return found


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html or "")).strip()


def _day(unix: Any) -> str:
    return datetime.fromtimestamp(int(unix), UTC).date().isoformat() if unix and int(unix) else ""


class OdooHands:
    """Odoo over JSON-2."""

    def __init__(self, odoo: Odoo) -> None:
        self.odoo = odoo
        self._client = httpx.Client(base_url=f"{odoo.url}/json/2", headers={"Authorization": f"bearer {odoo.key}"}, timeout=120)

    def close(self) -> None:
        self._client.close()

    def call(self, model: str, method: str, **arguments: Any) -> Any:
        answer = self._client.post(f"/{model}/{method}", json=arguments)
        assert answer.status_code == 200, answer.json().get("message", answer.text[:300])
        return answer.json()

    def rows(self, model: str, fields: list[str], domain: list[Any] | None = None) -> list[dict[str, Any]]:
        context = {"active_test": False}
        found: list[dict[str, Any]] = self.call(model, "search_read", domain=domain or [], fields=fields, order="id", context=context)
        return found


class OdooCrm(OdooHands):
    system = "odoo"

    def __init__(self, odoo: Odoo) -> None:
        super().__init__(odoo)
        self.env: dict[str, str] = {"ODOO_URL": odoo.url, "ODOO_KEY": odoo.key, "ODOO_DATABASE": odoo.database}

    def add_fields(self, model: str, names: Mapping[str, str]) -> None:
        """Custom fields: name → type. What is there already is left."""
        there = {row["name"] for row in self.rows("ir.model.fields", ["name"], [["model", "=", model]])}
        (owner,) = self.call("ir.model", "search", domain=[["model", "=", model]])
        rows = [
            {"name": name, "model_id": owner, "ttype": kind, "field_description": name} for name, kind in names.items() if name not in there
        ]
        self.call("ir.model.fields", "create", vals_list=rows)

    def customer(self, name: str) -> str:
        return str(self.call("res.partner", "create", vals_list=[{"name": name, "is_company": True, "email": "info@example.com"}])[0])

    def deals(self, names: Iterable[str], customer: str) -> list[str]:
        rows = [
            {"name": name, "type": "opportunity", "partner_id": int(customer), "expected_revenue": 12_500.5 + number}
            for number, name in enumerate(names)
        ]
        return [str(each) for each in self.call("crm.lead", "create", vals_list=rows)]

    def win(self, deals: Iterable[str]) -> None:
        self.call("crm.lead", "action_set_won", ids=[int(deal) for deal in deals])

    def lose(self, deal: str) -> None:
        """Odoo refuses to lose what stands in a stage of won ones."""
        self.call("crm.lead", "write", ids=[int(deal)], vals={"stage_id": self._first_stage()})
        self.call("crm.lead", "action_set_lost", ids=[int(deal)])

    def reopen(self, deal: str) -> None:
        self.call("crm.lead", "toggle_active", ids=[int(deal)])
        self.call("crm.lead", "write", ids=[int(deal)], vals={"stage_id": self._first_stage(), "probability": 20})

    def _first_stage(self) -> int:
        return int(self.call("crm.stage", "search", domain=[["is_won", "=", False]], order="sequence, id", limit=1)[0])

    def rename(self, deal: str, name: str) -> None:
        self.call("crm.lead", "write", ids=[int(deal)], vals={"name": name})

    def merge(self, deals: list[str]) -> str:
        """Two opportunities become one, as the CRM's own assistant does it; gives the one that stays."""
        rest = self.call("crm.lead", "merge_opportunity", ids=[int(deal) for deal in deals])
        return str(rest[0])

    def push(self, url: str) -> int:
        """Have each created or changed opportunity told there; gives the rule."""
        (model,) = self.call("ir.model", "search", domain=[["model", "=", "crm.lead"]])
        fields = self.call("ir.model.fields", "search", domain=[["model", "=", "crm.lead"], ["name", "in", ["name", "write_date"]]])
        post = {"name": "tell", "model_id": model, "state": "webhook", "webhook_url": url, "webhook_field_ids": [[6, 0, fields]]}
        rule = {"name": "tell", "model_id": model, "trigger": "on_create_or_write", "action_server_ids": [[0, 0, post]]}
        return int(self.call("base.automation", "create", vals_list=[rule])[0])

    def told(self) -> dict[str, Told]:
        names = ["x_handoff_project_url", "x_handoff_status", "x_handoff_progress"]
        rows = self.rows("crm.lead", [*names, "name"])
        return {str(row["id"]): Told(*(row[name] or "" for name in names)) for row in rows}


class TrytonCrm:
    """Tryton over the calls of its own client."""

    system = "tryton"

    def __init__(self, tryton: Tryton, database: str = "crm") -> None:
        self._person = tryton.person(database)
        self._person.log_in()
        self.env = {
            "TRYTON_URL": tryton.url,
            "TRYTON_DATABASE": database,
            "TRYTON_LOGIN": tryton.login,
            "TRYTON_PASSWORD": tryton.password,
        }

    def close(self) -> None:
        self._person.close()

    def _opportunities(self, method: str, *arguments: Any) -> Any:
        return self._person.call(f"model.sale.opportunity.{method}", *arguments)

    def customer(self, name: str) -> str:
        return str(self._person.call("model.party.party.create", [{"name": name}])[0])

    def deals(self, names: Iterable[str], customer: str) -> list[str]:
        employee = self._person.call("model.company.employee.search", [], 0, 1, None)[0]
        amount = {"__class__": "Decimal", "decimal": "12500.50"}
        rows = [{"description": name, "party": int(customer), "employee": employee, "amount": amount} for name in names]
        return [str(each) for each in self._opportunities("create", rows)]

    def _state(self, deals: Iterable[str], state: str) -> None:
        self._opportunities("write", [int(deal) for deal in deals], {"state": state})

    def win(self, deals: Iterable[str]) -> None:
        self._state(deals, "won")

    def lose(self, deal: str) -> None:
        self._state([deal], "lost")

    def reopen(self, deal: str) -> None:
        self._state([deal], "opportunity")

    def rename(self, deal: str, name: str) -> None:
        self._opportunities("write", [int(deal)], {"description": name})

    def told(self) -> dict[str, Told]:
        found = {}
        for row in self._opportunities("search_read", [], 0, None, None, ["comment"]):
            lines = dict(line.split(": ", 1) for line in (row["comment"] or "").splitlines() if ": " in line)
            found[str(row["id"])] = Told(
                lines.get("Project", ""), lines.get("Project status", ""), float(lines.get("Project progress", "0").rstrip(" %"))
            )
        return found


class OdooProjects(OdooHands):
    system = "odoo-project"

    def __init__(self, odoo: Odoo) -> None:
        super().__init__(odoo)
        self.env = {"ODOO_URL": odoo.url, "ODOO_KEY": odoo.key, "ODOO_DATABASE": odoo.database}

    def add_person(self, email: str) -> None:
        self.call("res.users", "create", vals_list=[{"name": email.split("@", maxsplit=1)[0], "login": email, "email": email}])

    def count(self) -> int:
        return int(self.call("project.project", "search_count", domain=[], context={"active_test": False}))

    def projects(self) -> dict[str, Project]:
        users = {row["id"]: row["login"] for row in self.rows("res.users", ["login"])}
        rows = self.rows(
            "project.task",
            ["name", "project_id", "stage_id", "parent_id", "date_deadline", "user_ids", "depend_on_ids", "is_closed", "description"],
        )
        names = {row["id"]: row["name"] for row in rows}
        stages = self.rows("project.task.type", ["name", "project_ids", "sequence"])
        found = []
        for row in self.rows("project.project", ["name", "description"]):
            inside = [task for task in rows if task["project_id"] and task["project_id"][0] == row["id"]]
            columns = sorted((one["sequence"], one["id"], one["name"]) for one in stages if row["id"] in one["project_ids"])
            tasks = [
                Task(
                    task["name"],
                    plain(task["description"]),
                    task["stage_id"][1] if task["stage_id"] and not task["parent_id"] else "",
                    names[task["parent_id"][0]] if task["parent_id"] else "",
                    (task["date_deadline"] or "")[:10],
                    assignee=",".join(users[user] for user in task["user_ids"]),
                    after=frozenset(names[each] for each in task["depend_on_ids"]),
                    done=task["is_closed"],
                )
                for task in inside
            ]
            found.append(Project(row["name"], plain(row["description"]), tuple(name for _, _, name in columns), tasks))
        return gathered(found)

    def _task(self, project: str, task: str) -> int:
        (found,) = self.call("project.task", "search", domain=[["project_id.name", "=", project], ["name", "=", task]])
        return int(found)

    def rename_task(self, project: str, task: str, name: str) -> None:
        self.call("project.task", "write", ids=[self._task(project, task)], vals={"name": name})

    def finish(self, project: str, task: str) -> None:
        self.call("project.task", "write", ids=[self._task(project, task)], vals={"state": "1_done"})


class RedmineTool:
    system = "redmine"

    def __init__(self, redmine: Redmine) -> None:
        self.env = {"REDMINE_URL": redmine.url, "REDMINE_API_KEY": redmine.key}
        self._client = httpx.Client(base_url=redmine.url, headers={"X-Redmine-API-Key": redmine.person_key}, timeout=120)

    def close(self) -> None:
        self._client.close()

    def add_person(self, email: str) -> None:
        first, last = email.split("@", maxsplit=1)[0].split(".")
        user = {"login": first, "firstname": first.title(), "lastname": last.title(), "mail": email, "password": "password-of-mia"}
        assert self._client.post("/users.json", json={"user": user}).status_code == 201

    def _all(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self._client.get(path, params={**params, "limit": 100, "offset": len(found)}).json()
            found += answer[name]
            if len(found) >= answer["total_count"]:
                return found

    def count(self) -> int:
        return int(self._client.get("/projects.json", params={"limit": 1}).json()["total_count"])

    def projects(self) -> dict[str, Project]:
        mails = {row["id"]: row["mail"] for row in self._all("/users.json", "users")}
        issues = self._all("/issues.json", "issues", status_id="*", include="relations", sort="id:asc")
        names = {row["id"]: row["subject"] for row in issues}
        found = []
        for row in self._all("/projects.json", "projects"):
            versions = self._client.get(f"/projects/{row['id']}/versions.json").json()["versions"]
            inside = [issue for issue in issues if issue["project"]["id"] == row["id"]]
            tasks = [self._as_task(issue, names, mails) for issue in inside]
            found.append(Project(row["name"], plain(row["description"]), tuple(sorted(one["name"] for one in versions)), tasks))
        return gathered(found)

    def _as_task(self, issue: Mapping[str, Any], names: Mapping[int, str], mails: Mapping[int | None, str]) -> Task:
        relations = issue.get("relations") or ()
        before = {
            one["issue_id"] for one in relations if one["relation_type"] in ("blocks", "precedes") and one["issue_to_id"] == issue["id"]
        }
        return Task(
            issue["subject"],
            plain(issue.get("description") or ""),
            (issue.get("fixed_version") or {}).get("name", "") if not issue.get("parent") else "",
            names[issue["parent"]["id"]] if issue.get("parent") else "",
            issue.get("due_date") or "",
            issue.get("start_date") or "",
            mails.get((issue.get("assigned_to") or {}).get("id"), ""),
            frozenset(names[each] for each in before),
            issue["status"]["is_closed"],
        )

    def _issue(self, project: str, task: str) -> int:
        found = [row for row in self._all("/issues.json", "issues", status_id="*", subject=task) if row["project"]["name"] == project]
        (issue,) = (row for row in found if row["subject"] == task)
        return int(issue["id"])

    def _change(self, issue: int, **fields: Any) -> None:
        assert self._client.put(f"/issues/{issue}.json", json={"issue": fields}).status_code == 204

    def rename_task(self, project: str, task: str, name: str) -> None:
        self._change(self._issue(project, task), subject=name)

    def finish(self, project: str, task: str) -> None:
        statuses = self._client.get("/issue_statuses.json").json()["issue_statuses"]
        issue = self._issue(project, task)
        self._change(issue, status_id=next(one["id"] for one in statuses if one["is_closed"]))
        assert self._client.get(f"/issues/{issue}.json").json()["issue"]["status"]["is_closed"]


class KanboardTool:
    system = "kanboard"

    def __init__(self, kanboard: Kanboard) -> None:
        self._kanboard = kanboard
        self.env = {"KANBOARD_URL": kanboard.url, "KANBOARD_TOKEN": kanboard.token}
        login = b64encode(f"jsonrpc:{kanboard.token}".encode()).decode()
        self._client = httpx.Client(base_url=kanboard.url, headers={"Authorization": f"Basic {login}"}, timeout=120)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, /, **params: Any) -> Any:
        answer = self._client.post("/jsonrpc.php", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        assert "error" not in answer, json.dumps(answer["error"])
        return answer["result"]

    def add_person(self, email: str) -> None:
        name = email.split("@", maxsplit=1)[0]
        assert self.call("createUser", username=name, password="password-of-mia", name=name, email=email)

    def count(self) -> int:
        return len(self.call("getAllProjects"))

    def projects(self) -> dict[str, Project]:
        mails = {int(user["id"]): user["email"] for user in self.call("getAllUsers")}
        return gathered(self._project(row, mails) for row in self.call("getAllProjects"))

    def _tasks(self, project: int) -> list[dict[str, Any]]:
        return [row for status in (1, 0) for row in self.call("getAllTasks", project_id=project, status_id=status)]

    def _project(self, row: Mapping[str, Any], mails: Mapping[int, str]) -> Project:
        columns = {int(one["id"]): one["title"] for one in self.call("getColumns", project_id=row["id"])}
        tasks = []
        for one in self._tasks(row["id"]):
            links = self.call("getAllTaskLinks", task_id=one["id"])
            up = [link["title"] for link in links if link["label"] == "is a child of"]
            after = frozenset(link["title"] for link in links if link["label"] == "is blocked by")
            task = Task(
                one["title"], one["description"] or "", "" if up else columns[int(one["column_id"])], "".join(up), _day(one["date_due"])
            )
            task.start, task.assignee, task.after = _day(one["date_started"]), mails.get(int(one["owner_id"] or 0), ""), after
            task.done = not int(one["is_active"])
            tasks.append(task)
        return Project(row["name"], row["description"] or "", tuple(columns.values()), tasks)

    def _task(self, project: str, task: str) -> int:
        (row,) = (one for one in self.call("getAllProjects") if one["name"] == project)
        (found,) = (one for one in self._tasks(row["id"]) if one["title"] == task)
        return int(found["id"])

    def rename_task(self, project: str, task: str, name: str) -> None:
        assert self.call("updateTask", id=self._task(project, task), title=name)

    def finish(self, project: str, task: str) -> None:
        assert self.call("closeTask", task_id=self._task(project, task))
