"""A person's word: what a rule asks for waits until somebody answers, and what is carried out is exactly the plan they read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import StateError, UnsafePlan
from flows import approving
from sandbox.notify import TOKEN, Services
from sandbox.web import Sandbox
from state.approvals import RUN, Answer, Approval, Approvals
from state.held import sights
from tests.flows.desk import Desk, local
from tests.flows.files import ONBOARDING, RULES, SALESFORCE
from tests.flows.pair import ROUTED, Pair
from tests.flows.told import ALERTS, AMOUNT, CHANNELS, HOST, SECRET, Telling
from tests.flows.world import Crash, Death, World

ONBOARD = "    on: [deal.won]\n"
LIMITS = "limits: {projects_per_run: 10,"
ASKS = {"rules.yaml": RULES.replace(ONBOARD, ONBOARD + "    approval: true\n")}
COMMENTS_ASK = {"rules.yaml": RULES.replace('    when: deal.status == "won"', '    when: deal.status == "won"\n    approval: true')}
ABOVE = {"rules.yaml": RULES.replace(LIMITS, "limits: {above: ask, projects_per_run: 1,")}
NO_UPDATES = {"rules.yaml": RULES.replace(f"{LIMITS} updates_per_run: 50}}", "limits: {above: ask, updates_per_run: 0}")}


def waiting(world: World) -> list[Approval]:
    return approving.waiting(world.state, world.clock())


def only(world: World) -> Approval:
    (one,) = waiting(world)
    return one


def answer(world: World, number: int, said: Answer = "approved", words: str = "") -> Approval:
    return approving.decide(world.state, number, said, by="mia", words=words, now=world.clock())


def state_of(world: World, number: int) -> str:
    one = approving.get(world.state, number, world.clock())
    assert one is not None
    return one.state_at(world.clock())


async def won(path: Path, files: dict[str, str], *names: str, **fields: Any) -> tuple[World, list[str]]:
    """Deals were known as open, and have been won since; one when nothing else is said."""
    world = World(path, files=files)
    deals = [world.deal(name, **fields) for name in names or ("Big deal",)]
    await world.sync()
    for deal in deals:
        world.win(deal)
    return world, deals


async def asked(path: Path, files: dict[str, str] | None = None, **fields: Any) -> tuple[World, str]:
    """A deal was won, and somebody was asked about it."""
    world, (deal,) = await won(path, files or ASKS, **fields)
    assert (await world.sync()).result == "waiting"
    return world, deal


async def test_what_a_rule_asks_for_waits_until_it_is_approved_and_is_asked_once(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    one = only(world)
    assert (one.subject, one.title) == (f"salesforce:deal:{deal}", "Big deal")
    assert one.why == ["rule onboard wants a person's yes"]
    assert one.plan["counts"]["create project"] == 1
    assert {action["fields"].get("name") for action in one.plan["actions"] if action["op"] == "create"} >= {"Big deal onboarding", "Scope"}
    later = [await world.sync() for _ in range(3)]
    assert [run.result for run in later] == ["nothing to do"] * 3
    assert "waiting for approval: 1 (Big deal)" in later[0].asked
    assert (world.shown(), world.outbox()["open"], [one.number for one in waiting(world)]) == ([], 0, [1])
    answer(world, 1)
    run = await world.sync()
    assert (run.result, world.shown()) == ("done", ["Big deal onboarding"])
    assert state_of(world, 1) == "done"
    assert (await world.sync()).result == "nothing to do"


async def test_an_answer_has_its_record_read_at_once_like_a_push(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    world.is_pushed = True
    assert world.hints() == []
    answer(world, 1)
    assert [told.source for told in world.hints()] == [f"salesforce:deal:{deal}"]
    run = await world.sync(minutes=0.1, pushed=("salesforce",))
    assert (run.result, world.shown(), world.hints()) == ("done", ["Big deal onboarding"], [])


async def test_exactly_the_plan_that_was_read_is_carried_out(tmp_path: Path) -> None:
    world, _ = await asked(tmp_path)
    read = only(world).plan
    answer(world, 1)
    done = await world.sync()
    assert done.plan.digest == read["digest"]
    keys = {action["key"] for action in read["actions"]}
    with world.store() as store:
        assert {row[0] for row in store.db.execute("SELECT key FROM link")} == keys


async def test_when_the_record_changes_between_the_question_and_the_answer_it_is_asked_again(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    world.change(deal, Name="Bigger deal")
    answer(world, 1)
    assert (await world.sync()).result == "waiting"
    assert (world.shown(), state_of(world, 1)) == ([], "superseded")
    one = only(world)
    assert one.number == 2
    assert one.why[-1] == "it takes the place of approval 1 (approved): what would be done has changed since"
    answer(world, 2)
    await world.sync()
    assert world.shown() == ["Bigger deal onboarding"]


async def test_a_question_that_has_changed_cannot_be_answered_any_more(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    world.change(deal, Name="Bigger deal")
    await world.sync()
    with pytest.raises(StateError, match="approval 1 is superseded already"):
        answer(world, 1)


async def test_touching_a_record_or_changing_what_no_plan_shows_is_no_other_question(tmp_path: Path) -> None:
    mapping = {"mappings/salesforce.yaml": World(tmp_path / "other").folder.joinpath("mappings/salesforce.yaml").read_text("utf-8")}
    start = mapping["mappings/salesforce.yaml"].index("      stage_history:")
    end = mapping["mappings/salesforce.yaml"].index("write_back:")
    text = mapping["mappings/salesforce.yaml"][:start] + mapping["mappings/salesforce.yaml"][end:]  # the deal's own stamp is all there is
    world, deal = await asked(tmp_path, {**ASKS, "mappings/salesforce.yaml": text})
    read = only(world).plan["digest"]
    for fields in ({"Description": "One more word"}, {"Probability": 50}):
        world.clock.move(days=1)
        world.change(deal, **fields)
        assert (await world.sync()).result == "nothing to do"
    assert (only(world).number, only(world).digest) == (1, read)
    world.change(deal, Description="Yet another")
    answer(world, 1)
    assert (await world.sync()).plan.digest == read
    assert world.shown() == ["Big deal onboarding"]


async def test_a_comment_waits_as_well_and_is_made_once(tmp_path: Path) -> None:
    world, (deal,) = await won(tmp_path, COMMENTS_ASK)
    await world.quiet()
    world.change(deal, Amount=7000)
    await world.sync()
    world.change(deal, Description="touched")
    await world.sync()
    assert (only(world).number, world.comments("Kick off Big deal")) == (1, [])
    answer(world, 1)
    await world.quiet()
    world.change(deal, Description="touched again")
    await world.quiet()
    assert world.comments("Kick off Big deal") == ["Now worth 7000"]
    world.change(deal, Amount=8000)
    await world.sync()
    assert only(world).number == 2


async def test_what_is_kept_in_step_waits_with_the_record(tmp_path: Path) -> None:
    world, (deal,) = await won(tmp_path, COMMENTS_ASK)
    await world.quiet()
    world.change(deal, Amount=7000, NextStep="Call")
    await world.sync()
    assert only(world).plan["counts"] == {"create comment": 1, "update project": 1, "update task": 1}
    project = world.board.projects[world.projects()[0]]
    assert "next: nothing" in project["notes"]
    answer(world, 1, "rejected")
    await world.quiet()
    assert "next: nothing" in project["notes"]
    world.change(deal, NextStep="Write")
    await world.quiet()
    assert "next: Write" in project["notes"]
    assert "7000" in world.task("Kick off Big deal")["notes"]
    assert world.comments("Kick off Big deal") == []


async def test_whether_peoples_edits_are_kept_is_part_of_what_was_read(tmp_path: Path) -> None:
    rules = RULES.replace('    when: deal.status == "won"', '    when: deal.status == "won"\n    approval: true')
    world = World(tmp_path, files={"rules.yaml": rules})
    deal = world.deal()
    await world.sync()
    world.win(deal)
    await world.quiet()
    world.change(deal, Amount=7000, NextStep="Call")
    await world.sync()
    assert "notes: in_step, custom" in ONBOARDING
    overrides = ONBOARDING.replace("notes: in_step, custom", "notes: crm, custom")
    world.configure({"rules.yaml": rules, "mappings/blueprints/onboarding.yaml": overrides})
    answer(world, 1)
    await world.sync()
    assert (only(world).number, state_of(world, 1)) == (2, "superseded")


async def test_a_rejected_plan_is_given_up_with_the_reason_and_not_asked_again(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    answer(world, 1, "rejected", "they have not paid")
    assert (await world.sync()).result == "nothing to do"
    world.change(deal, Description="something else")
    assert (await world.sync()).result == "nothing to do"
    assert (world.shown(), waiting(world)) == ([], [])
    (note,) = [note for note in world.audit(source=f"salesforce:deal:{deal}") if note["verdict"] == "passed" and note["rule"] == "onboard"]
    assert note["reason"] == "approval 1: rejected by mia: they have not paid"
    world.change(deal, StageName="Prospecting")
    await world.sync()
    world.win(deal)  # the same again
    assert (await world.sync()).result == "nothing to do"
    world.change(deal, StageName="Prospecting")
    await world.sync()
    world.win(deal, Name="Another deal")
    assert (await world.sync()).result == "waiting"
    answer(world, only(world).number)
    await world.sync()
    assert world.shown() == ["Another deal onboarding"]


async def test_what_nobody_answers_expires_and_is_given_up(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path, {"rules.yaml": ASKS["rules.yaml"] + "approvals: {expire_after_hours: 2}\n"})
    assert (await world.sync(minutes=90)).asked
    assert (await world.sync(minutes=31)).result == "nothing to do"
    assert (world.shown(), waiting(world), state_of(world, 1)) == ([], [], "expired")
    with pytest.raises(StateError, match="approval 1 is expired already"):
        answer(world, 1)
    reasons = [note["reason"] for note in world.audit(source=f"salesforce:deal:{deal}")]
    assert "approval 1: expired, nobody answered by 2026-03-02 11:40 UTC" in reasons


async def test_two_records_wait_for_an_answer_each(tmp_path: Path) -> None:
    world, _ = await won(tmp_path, ASKS, "Left", "Right")
    run = await world.sync()
    assert run.asked == "waiting for approval: 1 (Left), 2 (Right); `handoff approvals` lists them"
    answer(world, 2)
    await world.sync()
    assert (world.shown(), only(world).number) == (["Right onboarding"], 1)
    answer(world, 1, "rejected")
    await world.quiet()
    assert world.shown() == ["Right onboarding"]


async def test_the_limits_count_what_is_carried_out_now(tmp_path: Path) -> None:
    tight = {"rules.yaml": ASKS["rules.yaml"].replace("projects_per_run: 10", "projects_per_run: 1")}
    world, _ = await won(tmp_path, tight, "Deal 0", "Deal 1", "Deal 2")
    assert (await world.sync()).error is None
    for number in (1, 2):
        answer(world, number)
    refused = await world.sync()
    assert (refused.result, str(refused.error)) == ("refused", "2 new projects, limits.projects_per_run allows 1")
    assert (await world.sync(approve=refused.plan.digest)).result == "done"
    assert sorted(world.shown()) == ["Deal 0 onboarding", "Deal 1 onboarding"]


@pytest.mark.parametrize("way", ["force", "approve"])
async def test_approving_the_limits_is_not_the_rules_yes(tmp_path: Path, way: str) -> None:
    world, _ = await asked(tmp_path)
    other = world.deal("Other")
    await world.sync()
    world.win(other)
    digest = (await world.sync()).plan.digest
    run = await world.sync(**({"force": True} if way == "force" else {"approve": digest}))
    assert (run.error, world.shown(), len(waiting(world))) == (None, [], 2)


async def test_the_digest_of_a_record_that_waits_lets_it_go_at_the_command_line(tmp_path: Path) -> None:
    world, _ = await asked(tmp_path)
    assert (await world.sync(approve=only(world).digest)).result == "done"
    one = approving.get(world.state, 1, world.clock())
    assert one is not None
    assert (one.state, one.decided_by, world.shown()) == ("done", "the command line", ["Big deal onboarding"])


async def test_a_deal_that_is_deleted_or_opened_again_is_no_question_any_more(tmp_path: Path) -> None:
    world, (gone, back) = await won(tmp_path, ASKS, "Gone", "Back")
    await world.sync()
    assert len(waiting(world)) == 2
    world.org.delete("Opportunity", gone)
    world.change(back, StageName="Prospecting")
    await world.sync()
    assert (waiting(world), state_of(world, 1), state_of(world, 2)) == ([], "superseded", "superseded")
    assert (await world.sync()).result == "nothing to do"


async def test_a_run_for_some_records_takes_up_their_answers_and_leaves_the_others_waiting(tmp_path: Path) -> None:
    world, deals = await won(tmp_path, ASKS, "Left", "Right")
    await world.sync()
    answer(world, 1)
    answer(world, 2)
    await world.sync(only=(f"salesforce:deal:{deals[1]}",))
    assert (world.shown(), state_of(world, 1)) == (["Right onboarding"], "approved")
    await world.sync()
    assert sorted(world.shown()) == ["Left onboarding", "Right onboarding"]


async def test_a_customers_change_leaves_the_project_of_a_deal_that_waits_alone_until_the_deal_is_read(tmp_path: Path) -> None:
    world = World(tmp_path, files=COMMENTS_ASK)
    customer = world.account()
    deal = world.deal(AccountId=customer)
    await world.sync()
    world.win(deal)
    await world.quiet()
    world.change(deal, Amount=7000)
    await world.sync()
    world.org.update("Account", customer, {"Name": "Apex"})
    run = await world.sync(only=(f"salesforce:customer:{customer}",))
    assert (run.plan.actions, only(world).number) == ([], 1)
    await world.sync()
    answer(world, only(world).number)
    await world.quiet()
    assert "for Apex" in world.board.projects[world.projects()[0]]["notes"]


async def test_a_customer_that_waits_is_shown_as_it_is_on_its_deals(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        files={"rules.yaml": RULES.replace("    on: [customer.tier_changed]\n", "    on: [customer.tier_changed]\n    approval: true\n")},
    )
    customer = world.account(Tier__c="Standard")
    deal = world.deal(AccountId=customer)
    await world.sync()
    world.win(deal)
    await world.quiet()
    world.org.update("Account", customer, {"Name": "Apex", "Tier__c": "VIP"})
    await world.sync()
    world.change(deal, NextStep="Call")
    await world.sync(only=(f"salesforce:deal:{deal}",))
    assert "next: Call, for Apex" in world.board.projects[world.projects()[0]]["notes"]
    noted = len(world.audit())
    await world.quiet()
    assert len(world.audit()) == noted
    answer(world, only(world).number)
    await world.quiet()
    assert "Apex review" in world.shown()


async def test_a_backfill_asks_too_and_what_it_asked_for_is_not_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, files=ASKS)
    old = world.deal("Old", stage="Closed Won")
    await world.sync()
    assert (await world.sync(since=world.clock().date().replace(day=1))).result == "waiting"
    assert (only(world).subject, world.shown()) == (f"salesforce:deal:{old}", [])
    assert (await world.sync()).asked
    world.change(old, Description="touched")
    await world.sync()
    one = only(world)
    answer(world, one.number)
    await world.quiet()
    assert (world.shown(), state_of(world, one.number)) == (["Old onboarding"], "done")


async def test_a_rules_own_backfill_asks_and_a_rejection_ends_it(tmp_path: Path) -> None:
    back = {"rules.yaml": ASKS["rules.yaml"].replace("    approval: true\n", "    approval: true\n    backfill: 2026-03-01\n")}
    world = World(tmp_path, files=back)
    world.deal("Old", stage="Closed Won")
    world.deal("Older", stage="Closed Won")
    await world.sync()
    assert [one.title for one in waiting(world)] == ["Old", "Older"]
    answer(world, 1, "rejected")
    await world.sync()
    answer(world, 2)
    await world.quiet()
    assert (world.shown(), waiting(world)) == (["Older onboarding"], [])


async def test_when_the_rule_asks_no_more_what_waited_goes_and_its_question_with_it(tmp_path: Path) -> None:
    world, _ = await asked(tmp_path)
    world.configure({"rules.yaml": RULES})
    await world.quiet()
    assert (world.shown(), waiting(world)) == (["Big deal onboarding"], [])


async def test_another_blueprint_is_another_question(tmp_path: Path) -> None:
    world, _ = await asked(tmp_path)
    answer(world, 1)
    world.configure({**ASKS, "mappings/blueprints/onboarding.yaml": ONBOARDING.replace("name: Scope", "name: Scope it")})
    await world.sync()
    assert (only(world).number, world.shown()) == (2, [])


async def test_nobody_is_asked_about_half_of_a_plan(tmp_path: Path) -> None:
    broken = (
        RULES.replace(ONBOARD, ONBOARD + "    approval: true\n")
        + """
  - name: ratio
    on: [deal.won]
    when: 1 / (deal.amount - 5000) > 0
    do:
      - set_status: at_risk
        on: onboarding
"""
    )
    world, (deal,) = await won(tmp_path, {"rules.yaml": broken})
    assert (await world.sync()).result == "with errors"
    assert (waiting(world), world.shown()) == ([], [])
    world.change(deal, Amount=6000)
    await world.sync()
    answer(world, only(world).number)
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]


async def test_what_is_odd_about_a_record_that_waits_is_noted_once_and_shown_with_its_plan(tmp_path: Path) -> None:
    odd = {
        **ASKS,
        "mappings/salesforce.yaml": SALESFORCE.replace("close_date: CloseDate", "close_date: NextStep"),
        "mappings/blueprints/onboarding.yaml": ONBOARDING.replace("due: anchor + 2 working days", "due: close_date + 2 working days"),
    }
    world, deal = await asked(tmp_path, odd, NextStep="soon")
    (told,) = only(world).plan["notes"].values()
    assert any("close_date" in note for note in told)
    for _ in range(2):
        assert (await world.sync()).plan.notes == {}
    noted = [note["verdict"] for note in world.audit(source=f"salesforce:deal:{deal}")]
    assert noted.count("issue") == 2  # when it was recorded, and when it was asked about
    assert "note" not in noted
    answer(world, 1)
    await world.sync()
    assert [note["verdict"] for note in world.audit(source=f"salesforce:deal:{deal}")].count("note") == 1


# a whole plan above its limits


async def above(path: Path, count: int = 2) -> tuple[World, list[str]]:
    return await won(path, ABOVE, *(f"Deal {number}" for number in range(count)))


async def test_a_plan_above_its_limits_is_laid_before_a_person_and_carried_out_by_the_run_after(tmp_path: Path) -> None:
    world, _ = await above(tmp_path)
    first, second = await world.sync(), await world.sync()
    assert isinstance(first.error, UnsafePlan)
    assert (first.result, second.result, first.error.approval) == ("waiting for approval", "waiting for approval", 1)
    assert str(first.error) == "2 new projects, limits.projects_per_run allows 1; it waits for approval 1"
    one = only(world)
    assert (one.subject, one.digest, one.title) == (RUN, first.plan.digest, "A run above its limits: " + one.title.split(": ", 1)[1])
    assert "2 × create project" in one.title
    assert world.shown() == []
    answer(world, 1)
    assert (await world.sync()).result == "done"
    assert (len(world.shown()), state_of(world, 1)) == (2, "done")


async def test_a_plan_above_its_limits_that_changes_is_asked_about_again(tmp_path: Path) -> None:
    world, deals = await above(tmp_path)
    await world.sync()
    answer(world, 1)
    world.change(deals[0], Name="Other")
    run = await world.sync()
    assert isinstance(run.error, UnsafePlan)
    assert run.error.reasons[-1] == "it takes the place of approval 1 (approved): what would be done has changed since"
    assert (run.error.approval, world.shown(), state_of(world, 1)) == (2, [], "superseded")
    world.change(deals[1], StageName="Prospecting")  # within the limits
    assert (await world.sync()).result == "done"
    assert (world.shown(), waiting(world)) == (["Other onboarding"], [])


@pytest.mark.parametrize("said", ["rejected", "expired"])
async def test_a_plan_above_its_limits_that_is_not_approved_stays_refused_and_asks_no_more(tmp_path: Path, said: str) -> None:
    world, deals = await above(tmp_path)
    digest = (await world.sync()).plan.digest
    if said == "rejected":
        answer(world, 1, "rejected", "an import went wrong")
    for _ in range(2):
        run = await world.sync(minutes=73 * 60)
        assert (run.result, run.plan.digest) == ("refused", digest)
    assert f"approval 1: {said}" in str(run.error)
    assert waiting(world) == []
    world.change(deals[0], Name="Other")
    assert (await world.sync()).result == "waiting for approval"


async def test_a_run_with_a_request_of_its_own_asks_nobody_and_leaves_what_was_asked(tmp_path: Path) -> None:
    world, deals = await above(tmp_path, 3)
    await world.sync()
    run = await world.sync(only=tuple(f"salesforce:deal:{deal}" for deal in deals[:2]))
    assert (run.result, only(world).number) == ("refused", 1)
    other = await world.sync(only=(f"salesforce:deal:{world.deal('Open')}",))
    assert (other.result, only(world).number) == ("nothing to do", 1)
    assert (await world.sync(force=True)).result == "done"
    assert (waiting(world), state_of(world, 1)) == ([], "superseded")


async def test_a_yes_to_a_whole_plan_counts_once(tmp_path: Path) -> None:
    world, (deal,) = await won(tmp_path, NO_UPDATES)
    await world.quiet()
    world.change(deal, NextStep="Call")
    await world.sync()
    answer(world, 1)
    assert (await world.sync()).result == "done"
    world.change(deal, NextStep="Write")
    await world.sync()
    answer(world, 2)
    assert (await world.sync()).result == "done"
    world.change(deal, NextStep="Call")
    run = await world.sync()
    assert run.result == "waiting for approval"
    assert only(world).number == 3


# wherever a run dies


@contextmanager
def mortal(world: World) -> Iterator[None]:
    """Deaths before and after each word that goes to the approvals, and not only to the state."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ask", "done", "withdraw", "expire"):
            patch.setattr(Approvals, name, _dying(world, name, getattr(Approvals, name)))
        yield


def _dying(world: World, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        world.death.step(f"before asking: {name}")
        found = real(*args, **kwargs)
        world.death.step(f"after asking: {name}")
        return found

    return call


async def perish(world: World, at: int) -> list[str]:
    """A run that dies at a step, 0 for none; gives the steps it took."""
    world.death = Death(at)
    if at:
        with pytest.raises(Crash):
            await world.sync()
    else:
        await world.sync()
    steps, world.death = world.death.steps, Death()
    return steps


async def perish_after_the_decision(world: World) -> None:
    """A run that dies before it says that it took an answer up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approving, "take_up", lambda *_, **__: (_ for _ in ()).throw(Crash("after T1")))
        with pytest.raises(Crash):
            await world.sync()


async def each_death(fresh: Callable[[str], Awaitable[World]], mortal: Callable[[World], Any]) -> AsyncIterator[tuple[World, str]]:
    """A world for each step up to the last one that has to do with approvals, after a run that died there."""
    probe = await fresh("probe")
    with mortal(probe):
        steps = await perish(probe, 0)
    last = max(number for number, step in enumerate(steps, 1) if step.startswith("after asking"))
    assert last > 8, steps
    for at, step in enumerate(steps[: last + 1], 1):
        world = await fresh(str(at))
        with mortal(world):
            await perish(world, at)
        yield world, f"{at} {step}"


async def test_a_run_that_dies_anywhere_while_it_asks_has_asked_once(tmp_path: Path) -> None:
    async def fresh(name: str) -> World:
        world, _ = await won(tmp_path / name, ASKS)
        return world

    async for world, step in each_death(fresh, mortal):
        early = [one.number for one in waiting(world)]
        if early:
            answer(world, 1)  # before any run says that it waits
        else:
            await world.sync()
            answer(world, only(world).number)
        await world.quiet()
        assert (world.shown(), state_of(world, 1), waiting(world)) == (["Big deal onboarding"], "done", []), step


@pytest.mark.parametrize("said", ["approved", "rejected"])
async def test_an_answer_taken_up_by_a_run_that_dies_anywhere_is_taken_up_once(tmp_path: Path, said: Answer) -> None:
    async def answered(name: str) -> World:
        world, _ = await asked(tmp_path / name)
        answer(world, 1, said)
        return world

    async for world, step in each_death(answered, mortal):
        await world.quiet()
        assert world.shown() == (["Big deal onboarding"] if said == "approved" else []), step
        other = world.deal("Other")
        await world.sync()
        world.win(other)
        await world.sync()
        assert state_of(world, 1) == ("done" if said == "approved" else "rejected"), step
        assert [one.number for one in waiting(world)] == [2], step


async def test_a_run_above_its_limits_that_dies_after_its_decision_used_its_yes_up(tmp_path: Path) -> None:
    world, (deal,) = await won(tmp_path, NO_UPDATES)
    await world.quiet()
    world.change(deal, NextStep="Call")
    await world.sync()
    answer(world, 1)
    await perish_after_the_decision(world)
    assert state_of(world, 1) == "approved"
    world.configure({"rules.yaml": RULES})
    world.change(deal, NextStep="Write")
    await world.quiet()
    world.configure(NO_UPDATES)
    world.change(deal, NextStep="Call")
    assert (await world.sync()).result == "waiting for approval"
    assert (only(world).number, state_of(world, 1)) == (2, "done")


async def test_on_postgresql_it_is_the_same(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    world = World(
        tmp_path,
        files={"rules.yaml": ASKS["rules.yaml"].replace(LIMITS, "limits: {above: ask, projects_per_run: 1,")},
    )
    world.state = fresh_state()
    assert waiting(world) == []
    deals = [world.deal(f"Deal {number}") for number in range(3)]
    await world.sync()
    for deal in deals:
        world.win(deal)
    assert (await world.sync()).asked.startswith("waiting for approval: 1 (Deal 0), 2 (Deal 1), 3 (Deal 2)")
    answer(world, 1)
    answer(world, 2)
    answer(world, 3, "rejected", "no")
    run = await world.sync()
    assert isinstance(run.error, UnsafePlan)
    assert run.error.approval == 4
    assert (len(world.shown()), [one.number for one in waiting(world)]) == (0, [4])
    answer(world, 4)
    await world.quiet()
    assert sorted(world.shown()) == ["Deal 0 onboarding", "Deal 1 onboarding"]
    assert [state_of(world, number) for number in (1, 2, 3, 4)] == ["done", "done", "rejected", "done"]


# as people meet it


def ask_at(desk: Desk, name: str = "Big deal") -> str:
    desk.world.configure({**local({}), **ASKS})
    deal = desk.world.deal(name)
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    return deal


def test_a_person_sees_what_waits_looks_at_it_and_approves_it(desk: Desk) -> None:
    assert desk.told("approvals") == []
    assert "Nothing waits for a person's yes." in desk.do("approvals").stdout
    deal = ask_at(desk)
    planned = desk.do("plan").stdout
    assert "What waits for a person's yes" in planned
    assert "not asked yet" in planned
    assert desk.told("approvals") == []  # planning asks nobody
    done = desk.do("sync")
    assert done.exit_code == 1
    assert "waiting for approval: 1 (Big deal); `handoff approvals` lists them" in done.stdout
    assert desk.do("sync").exit_code == 0
    (listed,) = desk.told("approvals")
    assert (listed["number"], listed["subject"], listed["state"]) == (1, f"salesforce:deal:{deal}", "waiting")
    assert "plan" not in listed
    shown = desk.do("approvals", "show", "1").stdout
    assert "create project Big deal onboarding" in shown
    assert f"Plan {listed['digest']}: 2 × create dependency" in shown
    assert desk.told("approvals", "show", "1")["plan"]["digest"] == listed["digest"]
    status = desk.do("status").stdout
    assert "Waiting for a person's yes: 1" in status
    assert "Nothing waits for a person." not in status
    assert desk.told("status")["approvals"][0]["number"] == 1
    assert "handoff approvals approve NUMBER" in desk.do("plan").stdout
    (gated,) = desk.told("plan")["approvals"]
    assert (gated["number"], gated["standing"], gated["plan"]["digest"]) == (1, "waits", listed["digest"])
    told = desk.do("approvals", "approve", "1", "--by", "Mia", "--because", "paid")
    assert (told.exit_code, "Approval 1 (Big deal) is approved" in told.stdout) == (0, True)
    explained = desk.do("explain", deal).stdout
    assert "approval 1: approved by Mia: paid" in explained
    assert "held back deal.won" in explained
    assert desk.do("sync").exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]
    again = desk.told("approvals", "approve", "1")
    assert (again["again"], again["state"]) == (True, "done")
    assert "acted on deal.won" in desk.do("explain", deal).stdout


def test_a_rejection_with_its_reason_is_told_to_whoever_asks_later(desk: Desk) -> None:
    deal = ask_at(desk)
    desk.do("sync")
    assert desk.do("approvals", "reject", "1").exit_code == 2  # without a reason
    assert desk.do("approvals", "reject", "1", "--because", "they have not paid", "--by", "Mia").exit_code == 0
    assert desk.do("approvals", "reject", "1", "--because", "twice").exit_code == 0  # once more is no harm
    refused = desk.do("approvals", "approve", "1")
    assert (refused.exit_code, "1 does not wait for an answer any more; approval 1: rejected by Mia" in refused.stderr) == (2, True)
    assert desk.do("sync").exit_code == 0
    assert "approval 1: rejected by Mia: they have not paid" in desk.do("explain", deal).stdout
    (listed,) = desk.told("approvals", "--all")
    assert (listed["state"], listed["words"]) == ("rejected", "they have not paid")
    unknown = desk.do("approvals", "show", "7")
    assert (unknown.exit_code, "there is no approval 7" in unknown.stderr) == (2, True)


def test_a_run_above_its_limits_says_under_which_number_it_waits(desk: Desk) -> None:
    desk.world.configure({**local({}), **ABOVE})
    deals = [desk.world.deal(f"Deal {number}") for number in range(2)]
    desk.do("sync")
    for deal in deals:
        desk.world.win(deal)
    done = desk.do("sync")
    assert done.exit_code == 3
    assert "Nothing was done; the plan waits for approval 1:" in done.stdout
    assert "`handoff approvals approve 1`" in done.stdout
    found = desk.told("sync")
    assert (found["result"], found["approval"], found["exit_code"]) == ("waiting for approval", 1, 3)
    assert desk.told("status")["last_error"].endswith("it waits for approval 1; `handoff approvals` lists what waits")
    assert "A run above its limits: " in desk.do("approvals").stdout
    desk.do("approvals", "approve", "1")
    assert desk.do("sync").exit_code == 0
    assert len(desk.world.shown()) == 2


async def test_a_rejected_plan_can_be_carried_out_by_hand_after_all(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    answer(world, 1, "rejected", "no")
    await world.quiet()
    by_hand: dict[str, Any] = {"only": (f"salesforce:deal:{deal}",), "since": world.clock().date().replace(day=1)}
    run = await world.sync(**by_hand)
    assert [one.standing for one in run.plan.gated] == ["passed"]
    digest = run.plan.gated[0].plan.digest
    assert digest == approving.about(world.state, f"salesforce:deal:{deal}", world.clock())[0].digest
    assert (await world.sync(**by_hand, approve=digest)).result == "done"
    assert world.shown() == ["Big deal onboarding"]
    assert state_of(world, 1) == "rejected"


async def test_many_questions_are_asked_in_one_go_and_listed_in_short(tmp_path: Path) -> None:
    world = World(tmp_path, files=ASKS)
    for number in range(8):
        world.deal(f"Deal {number}", stage="Closed Won")
    await world.sync()
    run = await world.sync(since=world.clock().date().replace(day=1))
    assert len(waiting(world)) == 8
    assert run.asked.endswith("5 (Deal 4) and 3 more; `handoff approvals` lists them")


async def test_a_record_that_the_crm_does_not_show_for_a_while_goes_on_waiting(tmp_path: Path) -> None:
    world, deal = await asked(tmp_path)
    world.org.hold("Opportunity", deal, world.clock.now + timedelta(minutes=50))
    await world.sync()
    assert only(world).number == 1
    answer(world, 1)
    await world.sync()
    assert (world.shown(), state_of(world, 1)) == ([], "approved")
    await world.quiet()
    assert world.shown() == ["Big deal onboarding"]


async def test_a_backfill_that_is_asked_for_again_is_the_same_question_and_is_answered_one_record_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path, files=ASKS)
    deals = [world.deal(name, stage="Closed Won") for name in ("Left", "Right")]
    await world.sync()
    for _ in range(3):
        await world.sync(since=world.clock().date().replace(day=1))
    assert [one.number for one in waiting(world)] == [1, 2]
    with world.store() as store:
        assert [len(sight.past) for sight in sights(store).values()] == [1, 1]
    answer(world, 1)
    answer(world, 2)
    await world.sync(only=(f"salesforce:deal:{deals[1]}",))
    assert world.shown() == ["Right onboarding"]
    await world.quiet()
    assert world.shown() == ["Right onboarding", "Left onboarding"]


# messages, schedules for some systems, alerts

TELLS = AMOUNT.replace("    do:\n", "    approval: true\n    do:\n")


async def test_a_message_waits_as_well_and_a_yes_to_it_counts_once(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES + TELLS + CHANNELS)
    (deal,) = await world.begin()
    for number, amount in enumerate((7000, 9000, 7000), 1):
        world.change(deal, Amount=amount)
        await world.sync()
        world.change(deal, Description=f"touched {number}")
        await world.sync()
        assert (len(world.desk), only(world).number) == (number - 1, number)
        assert only(world).plan["notices"][0]["text"] == f"Big deal is now worth {amount}"
        answer(world, number)
        assert (await world.sync()).result == "done"
    assert world.desk == [f"Big deal is now worth {amount}" for amount in (7000, 9000, 7000)]


async def test_a_yes_to_a_message_is_used_up_even_if_the_run_died_before_it_was_noted(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES + TELLS + CHANNELS)
    (deal,) = await world.begin()
    world.change(deal, Amount=7000)
    await world.sync()
    answer(world, 1)
    await perish_after_the_decision(world)
    assert state_of(world, 1) == "approved"
    world.configure({"rules.yaml": RULES})
    world.change(deal, Amount=5000)
    await world.quiet()
    world.configure({"rules.yaml": RULES + TELLS + CHANNELS})
    world.change(deal, Amount=7000)
    await world.sync()
    assert (only(world).number, state_of(world, 1)) == (2, "done")


async def test_a_rejected_message_is_told_nobody(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES + TELLS + CHANNELS)
    (deal,) = await world.begin()
    world.change(deal, Amount=7000)
    await world.sync()
    answer(world, 1, "rejected", "not for everybody")
    await world.quiet()
    assert (world.desk, world.rows()) == ([], [])


async def test_people_are_told_that_they_are_asked_and_of_a_plan_above_its_limits_once(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=ABOVE["rules.yaml"].replace(ONBOARD, ONBOARD + "    approval: true\n") + CHANNELS + ALERTS)
    deals = await world.begin("Left", "Right")
    for deal in deals:
        world.win(deal)
    for _ in range(2):
        await world.sync()
    assert [text.split("\n")[0] for text in world.ops] == [
        f"Waits for approval: {name}: rule onboard wants a person's yes" for name in ("Left", "Right")
    ]
    answer(world, 1)
    answer(world, 2)
    for _ in range(2):
        assert (await world.sync()).result == "waiting for approval"
    (told,) = world.ops[2:]
    assert told.startswith("Waits for approval: A run above its limits")
    assert "refused" not in told


async def test_a_schedule_for_one_system_asks_about_its_own_plan(tmp_path: Path) -> None:
    pair = Pair(tmp_path, files={"rules.yaml": ROUTED.replace(LIMITS, "limits: {above: ask, projects_per_run: 1,")})
    deals = [pair.near.deal("Near 1"), pair.near.deal("Near 2")]
    await pair.sync()
    for deal in deals:
        pair.near.win(deal)
    run = await pair.near.sync(sources=("salesforce",))
    assert run.result == "waiting for approval"
    assert only(pair.near).subject == "run salesforce"
    answer(pair.near, only(pair.near).number)
    assert (await pair.near.sync(sources=("salesforce",))).result == "done"
    assert waiting(pair.near) == []
    pair.near.win(pair.near.deal("Near 3"))
    pair.near.win(pair.near.deal("Near 4"))
    pair.far.sf.oauth.client_secret = "another"  # south gives out: what it would tell is missing
    assert (await pair.sync()).result == "refused"
    assert waiting(pair.near) == []


async def test_a_yes_that_no_run_took_up_yet_is_not_forgotten_however_old_its_question_is(tmp_path: Path) -> None:
    patient = ASKS["rules.yaml"] + "approvals: {expire_after_hours: 8760}\n"
    world, _ = await asked(tmp_path, {"rules.yaml": patient})
    other = world.deal("Other")
    world.tell()
    await world.sync()
    world.clock.move(days=100)
    answer(world, 1)
    await world.sync(only=(f"salesforce:deal:{other}",))
    assert state_of(world, 1) == "approved"
    await world.quiet()
    assert (world.shown(), state_of(world, 1)) == (["Big deal onboarding"], "done")


async def test_a_run_of_another_schedule_does_not_say_that_a_refused_plan_is_accepted(tmp_path: Path) -> None:
    rules = ROUTED.replace("projects_per_run: 10", "projects_per_run: 1") + CHANNELS + ALERTS
    pair = Pair(tmp_path, files={"rules.yaml": rules})
    services = Services(pair.near.clock, dingtalk=SECRET)
    pair.near.hosts[HOST] = Sandbox(services, sleep=pair.near.clock.sleep)
    pair.near.env |= {"ROBOT": TOKEN, "DINGTALK": SECRET}
    deals = [pair.near.deal("Near 1"), pair.near.deal("Near 2")]
    await pair.sync()
    for deal in deals:
        pair.near.win(deal)
    for _ in range(3):
        assert (await pair.near.sync(sources=("salesforce",))).result == "refused"
        assert (await pair.near.sync(sources=("south",))).result == "nothing to do"
    assert [text.split(",")[0] for text in services.texts("dingtalk")] == ["A plan was refused"]
    assert (await pair.near.sync(sources=("salesforce",), force=True)).result == "done"
    assert [text.split(",")[0] for text in services.texts("dingtalk")] == ["A plan was refused", "Over"]
