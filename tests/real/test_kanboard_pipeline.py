"""The whole way into a real Kanboard: a deal is won in the CRM, a project stands there once, its progress goes back; wherever the run may die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flows.files import RULES
from tests.flows.world import MANAGER
from tests.real.kanboard import Kanboard
from tests.real.pipeline import RealTool, die_everywhere
from tests.real.wire import Wire

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("kanboard")]
MAPPING = """
version: 1
system: kanboard
connection: {url: "${KANBOARD_URL}", token: "${KANBOARD_TOKEN}", members: [ann@example.com]}
people:
  roles: {manager: mia.manager@example.com}
fields:
  value: {custom_field: value}
"""
FILES = {"rules.yaml": RULES.replace("target: asana", "target: kanboard"), "mappings/kanboard.yaml": MAPPING}
COLUMNS = {"Begin": ["Agenda", "Kick off Big deal", "Scope"], "Deliver": ["Deliver boots", "Done"]}


class Here(RealTool):
    """A world whose tool is a real Kanboard."""

    def __init__(self, path: Path, server: Kanboard) -> None:
        super().__init__(path, FILES, Wire())
        server.wipe()
        server.call("createUser", username="mia", password=server.password, name="Mia", email=MANAGER)
        self.server = server
        self.env |= {"KANBOARD_URL": server.url, "KANBOARD_TOKEN": server.token}

    def shown(self) -> list[str]:
        return [row["name"] for row in self.server.rows("select distinct name from seen order by rowid")]

    def columns(self) -> dict[str, list[str]]:
        """The names of the tasks in each column, all over the server."""
        names = "select columns.title as name, tasks.title as task from columns left join tasks on column_id = columns.id"
        found: dict[str, list[str]] = {}
        for row in self.server.rows(f"{names} order by columns.project_id, columns.position, tasks.title"):
            found.setdefault(row["name"], []).append(row["task"])
        return found

    def links(self) -> set[tuple[str, str, str]]:
        rows = self.server.rows(
            "select a.title as a, label, b.title as b from task_has_links join links on links.id = link_id"
            " join tasks a on a.id = task_id join tasks b on b.id = opposite_task_id where label in ('is blocked by', 'is a child of')"
        )
        assert len({tuple(row) for row in rows}) == len(rows)
        return {(row["a"], row["label"], row["b"]) for row in rows}

    def task(self, name: str, project: str | None = None) -> dict[str, Any]:
        (row,) = self.server.rows("select * from tasks where title = ?", name)
        return dict(row)

    def whole(self) -> None:
        """Everything is there once, and has been seen only when it was complete."""
        assert self.shown() == ["Big deal onboarding"]
        assert self.columns() == COLUMNS
        assert self.links() == {
            ("Agenda", "is a child of", "Kick off Big deal"),
            ("Scope", "is blocked by", "Kick off Big deal"),
            ("Deliver boots", "is blocked by", "Scope"),
            ("Done", "is blocked by", "Scope"),
        }
        (mia,) = self.server.rows("select id from users where username = 'mia'")
        assert self.task("Kick off Big deal")["owner_id"] == mia["id"]


async def test_a_won_deal_becomes_a_project_and_its_progress_comes_back(tmp_path: Path, kanboard: Kanboard) -> None:
    world = Here(tmp_path, kanboard)
    deal = await world.won()
    await world.quiet()
    world.whole()
    url = str(world.org.get("Opportunity", deal)["Handoff_Project_URL__c"])
    assert url.startswith(f"{kanboard.url}/?controller=BoardViewController")
    kanboard.call("closeTask", task_id=world.task("Scope")["id"])
    await world.quiet()
    assert float(world.org.get("Opportunity", deal)["Handoff_Progress__c"]) == 25


async def test_what_the_crm_changes_reaches_the_board_and_what_people_changed_stays(tmp_path: Path, kanboard: Kanboard) -> None:
    world = Here(tmp_path, kanboard)
    deal = await world.won()
    await world.quiet()
    kanboard.call("updateTask", id=world.task("Done")["id"], title="All done")
    world.change(deal, Name="Bigger deal", Amount=9000)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding", "Bigger deal onboarding"]
    assert world.task("Kick off Bigger deal")["description"] == "Worth 9000"
    assert world.task("All done")["is_active"]
    assert [row["comment"] for row in kanboard.rows("select comment from comments")] == ["Now worth 9000"]


async def test_a_run_that_dies_anywhere_is_made_good_by_the_next(tmp_path: Path, kanboard: Kanboard) -> None:
    # so many apart meet each kind of step in time: before and after a request, before and after a commit
    assert await die_everywhere(lambda at: Here(tmp_path / str(at), kanboard), every=11) > 70
