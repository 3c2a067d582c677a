"""The whole way into a real Redmine: a deal is won in the CRM, a project stands there once, its progress goes back; wherever the run may die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flows.files import RULES
from tests.real.pipeline import RealTool, die_everywhere
from tests.real.redmine import Redmine
from tests.real.redmine_rig import RedmineTool

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("redmine")]
MAPPING = """
version: 1
system: redmine
connection: {base_url: "${REDMINE_URL}", api_key: "${REDMINE_API_KEY}", milestone_tracker: Milestone, members: [bob@example.com]}
people:
  roles: {manager: ann@example.com}
fields:
  value: {custom_field: Value}
"""
FILES = {"rules.yaml": RULES.replace("target: asana", "target: redmine"), "mappings/redmine.yaml": MAPPING}
TASKS = {
    ("Kick off Big deal", "Begin", "", "ann", "Bug"),
    ("Agenda", "", "Kick off Big deal", "", "Bug"),
    ("Scope", "Begin", "", "", "Bug"),
    ("Deliver boots", "Deliver", "", "", "Bug"),
    ("Done", "Deliver", "", "", "Milestone"),
}
_TASKS = """
    SELECT i.subject, coalesce(v.name, ''), coalesce(above.subject, ''), coalesce(u.login, ''), t.name
    FROM issues i JOIN trackers t ON t.id = i.tracker_id
    LEFT JOIN versions v ON v.id = i.fixed_version_id LEFT JOIN issues above ON above.id = i.parent_id LEFT JOIN users u ON u.id = i.assigned_to_id
"""
_BLOCKS = "SELECT a.subject, r.relation_type, b.subject FROM issue_relations r, issues a, issues b WHERE a.id = issue_from_id AND b.id = issue_to_id"
_MEMBERS = "SELECT u.login, r.name FROM members m JOIN users u ON u.id = user_id JOIN member_roles ON member_id = m.id JOIN roles r ON r.id = role_id"


class Here(RealTool):
    """A world whose tool is a real Redmine."""

    def __init__(self, path: Path, server: Redmine) -> None:
        self.redmine = RedmineTool(server)
        super().__init__(path, FILES, self.redmine.wire)
        self.env |= {"REDMINE_URL": server.url, "REDMINE_API_KEY": server.key}

    def rows(self, statement: str) -> set[tuple[Any, ...]]:
        """All rows, each of which is there once."""
        rows = self.redmine.rows(statement)
        assert len(set(rows)) == len(rows)
        return set(rows)

    def id_of(self, task: str) -> str:
        ((id_,),) = self.redmine.rows("SELECT id FROM issues WHERE subject = ?", task)
        return str(id_)

    def whole(self) -> None:
        """Everything is there once."""
        assert self.redmine.rows("SELECT name FROM projects") == [("Big deal onboarding",)]
        assert self.rows(_TASKS) == TASKS
        assert self.rows(_BLOCKS) == {
            ("Kick off Big deal", "blocks", "Scope"),
            ("Scope", "blocks", "Deliver boots"),
            ("Scope", "blocks", "Done"),
        }
        assert self.rows(_MEMBERS) == {("ann", "Manager"), ("ann", "Developer"), ("bob", "Developer")}


async def test_a_won_deal_becomes_a_project_and_its_progress_comes_back(tmp_path: Path, redmine: Redmine) -> None:
    world = Here(tmp_path, redmine)
    deal = await world.won()
    await world.quiet()
    world.whole()
    url = str(world.org.get("Opportunity", deal)["Handoff_Project_URL__c"])
    assert url.startswith(f"{redmine.url}/projects/salesforce-deal-")
    world.redmine.finish(world.id_of("Kick off Big deal"))
    await world.quiet()
    assert float(world.org.get("Opportunity", deal)["Handoff_Progress__c"]) == 25


async def test_what_the_crm_changes_reaches_the_project_and_what_people_changed_stays(tmp_path: Path, redmine: Redmine) -> None:
    world = Here(tmp_path, redmine)
    deal = await world.won()
    await world.quiet()
    world.redmine.edit("task", world.id_of("Done"), "name", "All done")
    world.change(deal, Name="Bigger deal", Amount=9000)
    await world.quiet()
    assert world.redmine.rows("SELECT name FROM projects") == [("Bigger deal onboarding",)]
    assert world.id_of("All done")
    (described,) = world.redmine.rows("SELECT description FROM issues WHERE subject = 'Kick off Bigger deal'")
    assert described[0].startswith("Worth 9000")
    (note,) = world.redmine.rows("SELECT notes FROM journals WHERE notes <> ''")
    assert note[0].startswith("Now worth 9000")


async def test_a_run_that_dies_anywhere_is_made_good_by_the_next(tmp_path: Path, redmine: Redmine) -> None:
    # so many apart meet each kind of step in time: before and after a request, before and after a commit
    assert await die_everywhere(lambda at: Here(tmp_path / str(at), redmine), every=23) > 80
