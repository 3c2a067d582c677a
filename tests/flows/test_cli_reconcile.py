"""`reconcile` as a person or a script runs it, and the line `status` has of it."""

from __future__ import annotations

import re
from datetime import timedelta

from tests.flows.desk import Desk, local
from tests.flows.files import RULES


def slipped(desk: Desk, count: int = 1) -> list[str]:
    """Deals that were won without polling seeing it: it looks back ten minutes from where it last read something."""
    world = desk.world
    deals = [world.deal(f"Deal {number}") for number in range(count)]
    other = world.deal("Another")
    assert desk.do("sync").exit_code == 0
    world.change(other, StageName="Qualification")
    assert desk.do("sync").exit_code == 0
    for deal in deals:
        world.org.update("Opportunity", deal, {"StageName": "Closed Won"}, at=world.clock() - timedelta(hours=5))
    assert desk.told("sync")["result"] == "nothing to do"
    return deals


def test_what_was_missed_is_named_made_and_kept_for_status(desk: Desk) -> None:
    (deal,) = slipped(desk)
    assert "Reconciled" not in desk.do("status").stdout
    done = desk.do("reconcile")
    assert done.exit_code == 0
    assert "Changes that had been missed" in done.stdout
    assert "deal.won" in done.stdout
    assert desk.world.shown() == ["Deal 0 onboarding"]
    line = r"Reconciled: \d{4}-\d\d-\d\d \d\d:\d\d UTC: 1 change had been missed\n"
    assert re.search(line, desk.do("status").stdout)
    assert "1 change had been missed" in desk.told("status")["reconciled"]
    assert "polling had not seen this change" in desk.do("explain", deal).stdout
    assert desk.told("history")[0]["counts"]["missed"] == 1


def test_a_script_gets_the_whole_report(desk: Desk) -> None:
    (deal,) = slipped(desk)
    assert desk.do("reconcile").exit_code == 0
    world = desk.world
    world.board.edit_task(world.task("Scope")["gid"], {"name": "Scope, with Bob"}, world.person)
    told = desk.told("reconcile")
    assert (told["exit_code"], told["result"]) == (0, "nothing to do")
    assert told["report"]["crms"]["salesforce"]["counts"] == {"missed": 0, "hidden": 0, "back": 0}
    (changed,) = told["report"]["tools"]["asana"]["changed"]
    assert (changed["field"], changed["ours"], changed["theirs"]) == ("name", "Scope", "Scope, with Bob")
    assert changed["place"]["source"] == f"salesforce:deal:{deal}"
    shown = desk.do("reconcile").stdout
    assert "name: Scope → Scope, with Bob" in shown
    assert "1 field changed by people" in desk.do("status").stdout


def test_a_dry_run_only_looks(desk: Desk) -> None:
    slipped(desk)
    for _ in range(2):
        told = desk.told("reconcile", "--dry-run")
        assert told["report"]["crms"]["salesforce"]["counts"]["missed"] == 1
    shown = desk.do("reconcile", "--dry-run").stdout
    assert "What will be done" in shown
    assert "UTC: 1 change had been missed" in shown
    assert desk.world.shown() == []
    assert desk.told("status")["reconciled"] == ""


def test_what_is_above_the_limits_waits_for_a_person_and_is_approved_here(desk: Desk) -> None:
    desk.world.configure(local({"rules.yaml": RULES.replace("projects_per_run: 10", "projects_per_run: 1")}))
    slipped(desk, 2)
    refused = desk.do("reconcile")
    assert refused.exit_code == 3
    digest = re.search(r"`handoff reconcile --approve (\w+)`", refused.stdout)
    assert digest is not None
    assert f"handoff reconcile --approve {digest[1]}" in desk.do("status").stdout
    assert "(refused): 2 changes had been missed" in desk.do("status").stdout
    assert desk.do("reconcile", "--approve", digest[1]).exit_code == 0
    assert len(desk.world.projects()) == 2


def test_a_system_that_is_away_has_its_exit_code_and_the_others_are_read(desk: Desk) -> None:
    slipped(desk)
    desk.world.tool.fault("GET .*", "error_before", status=401, times=-1)
    told = desk.do("reconcile", "--json")
    assert told.exit_code == 4
    assert '"asana": {\n      "error"' in told.stdout
    assert "missed" in desk.do("status").stdout
