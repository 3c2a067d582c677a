"""What is acted on, what waits for a person's word, and that a CRM which fails in the middle costs nothing but time."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.base import AuthError, QuotaExhausted, UnsafePlan
from tests.flows.files import RULES
from tests.flows.world import World

TIGHT = RULES.replace("projects_per_run: 10", "projects_per_run: 1")


async def three_won(path: Path, **options: Any) -> tuple[World, list[str]]:
    world = World(path, **options)
    deals = [world.deal(f"Deal {number}") for number in range(3)]
    await world.sync()
    for deal in deals:
        world.win(deal)
    return world, deals


async def test_history_is_recorded_and_not_acted_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deal(stage="Closed Won")
    summary = await world.sync()
    assert summary.baselined == {"customer": 0, "deal": 1}
    await world.quiet()
    assert world.board.projects == {}


async def test_a_plan_above_its_limits_commits_nothing_and_is_offered_again(tmp_path: Path) -> None:
    world, _ = await three_won(tmp_path, files={"rules.yaml": TIGHT})
    before = world.cursor()
    first, second = await world.sync(), await world.sync()
    assert isinstance(first.error, UnsafePlan)
    assert str(first.error) == "3 new projects, limits.projects_per_run allows 1"
    assert (first.result, second.result) == ("refused", "refused")
    assert first.plan.digest == second.plan.digest
    assert world.cursor() == before
    assert world.outbox()["open"] == 0
    assert world.board.projects == {}


async def test_an_approval_is_of_one_plan_and_no_other(tmp_path: Path) -> None:
    world, deals = await three_won(tmp_path, files={"rules.yaml": TIGHT})
    digest = (await world.sync()).plan.digest
    world.change(deals[0], Name="Another name")
    moved = await world.sync(approve=digest)
    assert moved.result == "refused"
    assert moved.plan.digest in str(moved.error)
    assert (await world.sync(approve=moved.plan.digest)).result == "done"
    assert sorted(world.shown()) == ["Another name onboarding", "Deal 1 onboarding", "Deal 2 onboarding"]


async def test_force_carries_out_what_is_above_the_limits(tmp_path: Path) -> None:
    world, _ = await three_won(tmp_path, files={"rules.yaml": TIGHT})
    await world.sync(force=True)
    assert len(world.projects()) == 3


async def test_a_rule_has_limits_of_its_own(tmp_path: Path) -> None:
    tight = RULES.replace(
        "        target: asana\n  - name: amount", "        target: asana\n    limits: {projects_per_run: 2}\n  - name: amount"
    )
    world, _ = await three_won(tmp_path, files={"rules.yaml": tight})
    assert str((await world.sync()).error) == "3 new projects by rule onboard, its limits.projects_per_run allows 2"


async def test_updates_have_a_limit_too(tmp_path: Path) -> None:
    world, deals = await three_won(tmp_path, files={"rules.yaml": RULES.replace("updates_per_run: 50", "updates_per_run: 1")})
    await world.quiet()
    world.change(deals[0], Name="Another name")
    assert "limits.updates_per_run allows 1" in str((await world.sync()).error)
    assert "Another name onboarding" not in world.shown()


async def test_one_record_by_itself_leaves_the_cursor_and_the_others_for_later(tmp_path: Path) -> None:
    world, deals = await three_won(tmp_path)
    before = world.cursor()
    await world.sync(only=(f"salesforce:deal:{deals[1]}",))
    assert world.shown() == ["Deal 1 onboarding"]
    assert world.cursor() == before
    await world.quiet()
    assert sorted(world.shown()) == ["Deal 0 onboarding", "Deal 1 onboarding", "Deal 2 onboarding"]


async def test_a_record_named_before_history_is_recorded_is_history_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    old = world.deal("Old", stage="Closed Won")
    await world.sync(only=(f"salesforce:deal:{old}",))
    await world.quiet()
    assert world.shown() == []


async def test_a_backfill_acts_on_every_won_deal_since_a_day_and_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name, day in (("Old", "2026-01-31"), ("First", "2026-02-01"), ("Late", "2026-02-20")):
        world.deal(name, stage="Closed Won", CloseDate=day)
    world.deal("Open", CloseDate="2026-02-20")
    await world.sync()
    await world.sync(since=date(2026, 2, 1))
    assert sorted(world.shown()) == ["First onboarding", "Late onboarding"]
    again = await world.sync(since=date(2026, 2, 1))
    assert again.plan.actions == []
    assert len(world.board.projects) == 2


async def test_a_backfill_says_a_thing_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    told = f"{RULES}  - name: welcome\n    on: [deal.won]\n    do:\n      - {{comment: Welcome, on: onboarding/kickoff}}\n"
    world = World(tmp_path, files={"rules.yaml": told})
    world.deal(stage="Closed Won")
    await world.sync()
    for _ in range(3):
        summary = await world.sync(since=date(2026, 2, 1))
    assert summary.plan.actions == []
    assert world.comments("Kick off Big deal") == ["Welcome"]


async def test_a_rule_with_a_backfill_looks_back_once_even_if_it_found_nothing(tmp_path: Path) -> None:
    back = RULES.replace("  - name: onboard\n", "  - name: onboard\n    backfill: 2026-02-01\n")
    world = World(tmp_path, files={"rules.yaml": back})
    world.deal("Past", stage="Closed Won", CloseDate="2026-02-10")
    await world.sync()
    assert world.shown() == ["Past onboarding"]
    empty = World(tmp_path / "empty", files={"rules.yaml": back})
    await empty.sync()
    with empty.store() as store:
        assert store.meta("backfilled:onboard:salesforce") == "2026-02-01"


async def test_a_refused_backfill_of_a_rule_is_offered_again(tmp_path: Path) -> None:
    back = TIGHT.replace("  - name: onboard\n", "  - name: onboard\n    backfill: 2026-02-01\n")
    world = World(tmp_path, files={"rules.yaml": back})
    for number in range(3):
        world.deal(f"Deal {number}", stage="Closed Won")
    first, second = await world.sync(), await world.sync()
    assert (first.result, first.plan.digest) == ("refused", second.plan.digest)
    await world.sync(approve=first.plan.digest)
    assert len(world.projects()) == 3
    assert (await world.sync()).plan.actions == []


async def test_a_quota_that_ends_in_the_middle_of_a_pull_keeps_the_cursor(tmp_path: Path) -> None:
    world, _ = await three_won(tmp_path)
    before, queries = world.cursor(), []

    def exhaust(request: Any) -> None:
        queries.append(request)
        if len(queries) == 4:
            world.org.exhaust_quota()

    world.hook = exhaust
    summary = await world.sync()
    assert (summary.result, type(summary.error)) == ("failed", QuotaExhausted)
    assert world.cursor() == before
    world.hook = None
    world.org.restore_quota()
    await world.quiet()
    assert len(world.projects()) == 3


@pytest.mark.parametrize("kind", ["html", "html_ok", "truncated", "empty", "reset_before", "reset_after", "error_before"])
@pytest.mark.parametrize("times", [1, -1])
async def test_an_answer_of_the_crm_that_makes_no_sense_loses_nothing(kind: Any, times: int, tmp_path: Path) -> None:
    world, _ = await three_won(tmp_path)
    before = world.cursor()
    world.crm.fault(r"GET .*/queryAll", kind, times=times, skip=1)
    summary = await world.sync()
    if times == -1:
        assert summary.result == "failed"
        assert world.cursor() == before
    world.crm.faults.clear()
    await world.quiet()
    assert len(world.projects()) == 3


async def test_a_session_that_dies_on_the_way_is_renewed_and_refused_credentials_end_the_run(tmp_path: Path) -> None:
    world, _ = await three_won(tmp_path)
    queries = []

    def revoke(request: Any) -> None:
        queries.append(request)
        if len(queries) == 4:
            world.org.revoke_tokens()

    world.hook = revoke
    assert (await world.sync()).result == "done"
    world.sf.oauth.client_secret = "changed"
    refused = await world.sync()
    assert (refused.result, type(refused.error)) == ("failed", AuthError)
    assert len(world.projects()) == 3
