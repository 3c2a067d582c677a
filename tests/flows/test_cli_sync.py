"""`plan` and `sync`: look first, then do exactly that, once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.flows.desk import Desk


def state_of(path: Path) -> dict[str, list[Any]]:
    """What a plan must leave alone."""
    with closing(sqlite3.connect(path)) as db, db:
        tables = ("intent", "link", "cursor", "snapshot", "meta", "recheck")
        return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608 - names from above


def won(desk: Desk, count: int = 1, **fields: Any) -> list[str]:
    """Deals that the baseline has seen open, and that are won since."""
    deals = [desk.world.deal(f"Deal {number}", **fields) for number in range(1, count + 1)]
    assert desk.do("sync").exit_code == 0
    for deal in deals:
        desk.world.win(deal)
    return deals


def test_the_first_plan_records_history_and_creates_nothing(desk: Desk) -> None:
    desk.world.win(desk.world.deal())
    planned = desk.told("plan")
    assert planned["baseline"] == {"customer": 0, "deal": 1}
    assert planned["actions"] == []
    assert desk.told("sync")["result"] == "nothing to do"
    assert desk.world.shown() == []


def test_a_plan_changes_nothing_and_says_the_same_thing_twice(desk: Desk) -> None:
    won(desk)
    before = state_of(desk.state)
    first, second = desk.told("plan"), desk.told("plan")
    assert first == second
    assert first["digest"]
    assert len(first["actions"]) > 5
    assert state_of(desk.state) == before
    assert desk.world.shown() == []
    assert not any(route.startswith(("POST", "PUT")) for route in desk.world.tool.seen)


def test_a_plan_says_what_passes_and_why_not_with_the_values_seen(desk: Desk) -> None:
    won(desk, Amount=10)
    planned = desk.told("plan")
    (decision,) = planned["decisions"]
    assert (decision["rule"], decision["verdict"]) == ("onboard", "passed")
    assert float(decision["seen"]["deal.amount"]) == 10
    assert "deal.amount >= 1000 is false (deal.amount = 10" in desk.do("plan").stdout


def test_in_a_pipe_keys_are_whole(desk: Desk) -> None:
    (deal,) = won(desk)
    _, out, _ = desk.run("plan")
    assert f"salesforce:deal:{deal}/onboarding" in out
    assert "…" not in out


def test_a_dry_run_is_a_plan(desk: Desk) -> None:
    won(desk)
    before = state_of(desk.state)
    assert desk.told("sync", "--dry-run") == desk.told("plan")
    assert state_of(desk.state) == before


def test_a_sync_does_what_was_planned_and_the_next_finds_nothing_to_do(desk: Desk) -> None:
    won(desk)
    planned = desk.told("plan")
    done = desk.told("sync")
    assert done["result"] == "done"
    assert done["plan"]["digest"] == planned["digest"]
    assert done["counts"]["published"] == 1
    assert desk.world.shown() == ["Deal 1 onboarding"]
    writes = desk.world.asana.counts["writes"]
    again = desk.told("sync")
    assert (again["result"], again["plan"]["actions"]) == ("nothing to do", [])
    assert desk.world.asana.counts["writes"] == writes


def test_a_plan_above_its_limits_is_refused_with_the_plan_and_the_way_on(desk: Desk) -> None:
    won(desk, 11)
    before = state_of(desk.state)
    refused = desk.do("sync")
    digest = desk.told("plan")["digest"]
    assert refused.exit_code == 3
    assert "What will be done" in refused.stdout
    assert "Deal 11 onboarding" in refused.stdout
    assert f"handoff sync --approve {digest}" in refused.stdout
    assert "--force" in refused.stdout
    assert "11" in desk.told("plan")["over_limits"][0]
    after = state_of(desk.state)
    for state in (before, after):  # the tool goes on being listened to, and calls, errors and syncs to be noted
        state["meta"] = [row for row in state["meta"] if not row[0].startswith(("changes:", "quota:", "errors:", "synced:"))]
    assert after == before
    assert desk.world.shown() == []
    assert desk.told("sync")["result"] == "refused"


def test_force_carries_out_what_is_above_the_limits(desk: Desk) -> None:
    won(desk, 11)
    assert desk.do("sync", "--force").exit_code == 0
    assert len(desk.world.shown()) == 11


def test_approval_is_for_exactly_the_plan_that_was_read(desk: Desk) -> None:
    deals = won(desk, 12)
    digest = desk.told("plan")["digest"]
    desk.world.change(deals[0], Name="Renamed meanwhile")
    refused = desk.do("sync", "--approve", digest)
    assert refused.exit_code == 3
    assert f"approved was {digest}" in " ".join(refused.stdout.split())
    assert desk.world.shown() == []
    assert desk.do("sync", "--approve", desk.told("plan")["digest"]).exit_code == 0
    assert len(desk.world.shown()) == 12


def test_an_approval_of_something_else_carries_out_nothing_even_within_the_limits(desk: Desk) -> None:
    won(desk)
    assert desk.do("sync", "--approve", "0123456789ab").exit_code == 3
    assert desk.world.shown() == []


def test_only_acts_on_the_records_named(desk: Desk) -> None:
    first, second = won(desk, 2)
    assert desk.do("sync", "--only", first).exit_code == 0
    assert desk.world.shown() == ["Deal 1 onboarding"]
    assert desk.do("sync", "--only", f"salesforce:deal:{second[:15]}").exit_code == 0
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Deal 1 onboarding", "Deal 2 onboarding"]


def test_only_says_when_there_is_no_such_record_or_no_such_system(desk: Desk) -> None:
    won(desk)
    assert "no such record" in desk.do("sync", "--only", "006000000000000AAA").stderr
    wrong = desk.do("sync", "--only", "hubspot:deal:1")
    assert wrong.exit_code == 2
    assert "salesforce:deal" in wrong.stderr
    assert desk.world.shown() == []


def test_backfill_acts_on_what_was_won_before_the_first_contact(desk: Desk) -> None:
    desk.world.win(desk.world.deal("Old"))
    desk.do("sync")
    since = "2026-03-01"  # the deal closed on the second
    assert desk.do("plan", "--backfill", since).exit_code == 0
    assert desk.world.shown() == []
    assert desk.do("sync", "--backfill", since).exit_code == 0
    assert desk.do("sync", "--backfill", since).exit_code == 0
    assert desk.world.shown() == ["Old onboarding"]
    wrong = desk.do("sync", "--backfill", "yesterday")
    assert wrong.exit_code == 2
    assert "%Y-%m-%d" in wrong.output


def test_without_patience_a_lost_answer_is_left_to_the_next_run(desk: Desk) -> None:
    won(desk)
    desk.world.tool.fault("POST /api/1.0/batch$", "reset_before")
    first = desk.do("sync", "--wait", "0")
    assert first.exit_code == 1
    assert "waiting" in first.stdout
    assert desk.told("status")["counts"]["in_doubt"] > 0
    assert desk.world.shown() == []


@pytest.mark.parametrize("kind", ["reset_after", "hang_after", "error_after", "html_ok", "truncated"])
def test_a_lost_answer_on_the_wire_makes_nothing_twice(desk: Desk, kind: Any) -> None:
    won(desk)
    desk.world.tool.fault("POST /api/1.0/batch$", kind)
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Deal 1 onboarding"]
    assert desk.world.tasks() == {"Kick off Deal 1": 1, "Scope": 1, "Done": 1, "Agenda": 1}


def test_every_verb_prints_one_json_document_also_when_refused(desk: Desk) -> None:
    deal = won(desk, 11)[0]
    assert desk.told("sync")["error"]
    assert desk.told("sync", "--force")["counts"]["published"] == 11
    for words in (
        ["check"],
        ["plan"],
        ["sync"],
        ["explain", deal],
        ["status"],
        ["history"],
        ["retry"],
        ["state", "verify"],
        ["state", "compact"],
    ):
        assert isinstance(desk.told(*words), dict | list), words


def test_a_failure_is_one_json_document_too_with_its_kind_its_problems_and_the_exit_code(desk: Desk) -> None:
    rules = desk.folder / "rules.yaml"
    good = rules.read_text(encoding="utf-8")
    rules.write_text(good.replace("deal.amount is not none", "deal.amuont is not none"), encoding="utf-8")
    for words in (["sync"], ["plan"], ["check", "--offline"]):
        told = failed(desk, 2, *words)
        assert told["error_type"] == "ConfigError"
        assert (told["problems"][0]["file"], told["problems"][0]["line"]) == ("rules.yaml", 9)
        assert "amuont" in told["problems"][0]["message"]
    rules.write_text(good, encoding="utf-8")
    assert failed(desk, 6, "status")["error_type"] == "StateError"
    won(desk, 11)
    assert failed(desk, 3, "sync")["error_type"] == "UnsafePlan"
    desk.world.sf.oauth.client_secret = "another"
    for words in (["sync"], ["plan"], ["check"]):
        assert failed(desk, 4, *words)["error_type"] == "AuthError"


def failed(desk: Desk, code: int, *words: str) -> dict[str, Any]:
    done = desk.do(*words, "--json")
    assert done.exit_code == code, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["error"]
    assert told["exit_code"] == code
    return told
