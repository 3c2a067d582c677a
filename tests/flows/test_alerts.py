"""People are told when Handoff itself needs them: once, again when it lasts, and once when it is over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import ConfigError
from flows.alerts import Alert, of_approval, raise_alerts
from flows.configuration import load
from flows.notify import deliver
from state import Outbox
from state.approvals import Approval
from tests.flows.files import RULES
from tests.flows.told import ALERTS, CHANNELS, RULE, Telling
from tests.flows.world import START, Crash, Death


def world(path: Path, *, rules: str = RULES + CHANNELS + ALERTS, **more: Any) -> Telling:
    return Telling(path, rules=rules, **more)


# a system gives out


async def test_refused_credentials_are_told_at_once_and_once(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    here.board.tokens.clear()
    for _ in range(3):
        assert (await here.sync()).result == "failed"
    (text,) = here.ops
    assert text.startswith("asana failed: ")
    await here.sync(minutes=25 * 60)
    assert len(here.ops) == 2
    assert "It has been so since 2026-03-02" in here.ops[1]


async def test_that_it_is_over_is_told_once(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    tokens = dict(here.board.tokens)
    here.board.tokens.clear()
    await here.sync()
    here.board.tokens |= tokens
    await here.sync(minutes=90)
    await here.quiet()
    assert len(here.ops) == 2
    assert here.ops[1].startswith("Over, after 90 min: asana failed: ")


async def test_what_passes_by_itself_is_told_nobody(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    here.crm.fault("", "error_before", times=-1, status=503)
    assert (await here.sync(minutes=10)).result == "failed"
    here.crm.faults.clear()
    await here.sync(minutes=10)
    await here.sync(minutes=60)
    assert here.ops == []


async def test_what_does_not_pass_is_told_after_a_while(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    here.crm.fault("", "error_before", times=-1, status=503)
    told = []
    for _ in range(4):
        await here.sync(minutes=10)
        told.append(len(here.ops))
    assert told[:2] == [0, 0]
    assert told[-1] == 1
    assert here.ops[0].startswith("salesforce failed: ")


async def test_a_cause_that_changes_between_passing_ones_is_told_once(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    for status in (503, 429) * 6:
        here.crm.faults.clear()
        here.crm.fault("", "error_before", times=-1, status=status)
        await here.sync(minutes=10)
    assert [text.split(":")[0] for text in here.ops] == ["salesforce failed"]


async def test_a_look_at_some_records_does_not_say_that_a_system_is_well(tmp_path: Path) -> None:
    here = world(tmp_path)
    (deal,) = await here.begin()

    def polling_fails(request: httpx.Request) -> None:
        if "FROM Account" in request.url.params.get("q", ""):
            raise httpx.ConnectError("away", request=request)

    here.hook = polling_fails
    for _ in range(4):
        assert (await here.sync(minutes=10)).result == "failed"
        here.change(deal, Description=f"edited at {here.clock()}")
        here.tell(deal)
        assert (await here.sync(minutes=1, pushed=("salesforce",))).result == "nothing to do"
    assert [text.split(":")[0] for text in here.ops] == ["salesforce failed"]
    here.hook = None
    await here.sync()
    assert here.ops[1].startswith("Over, after ")


async def test_a_system_that_was_not_asked_is_not_said_to_be_well(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    with here.store() as store:
        raise_alerts(store, here.loaded, [Alert("failed", "asana", "**asana** failed")], here.clock(), about={"failed"}, unsure={"asana"})
        raise_alerts(store, here.loaded, [], here.clock(), about={"failed"}, unsure={"asana"})
        await deliver(store, here.loaded, here.runtime())
    assert here.ops == ["asana failed"]


# a plan is refused


async def test_a_refused_plan_is_told_once_however_it_grows(tmp_path: Path) -> None:
    here = world(tmp_path, rules=RULES.replace("projects_per_run: 10", "projects_per_run: 1") + CHANNELS + ALERTS)
    deals = await here.begin("One", "Two", "Three")
    here.win(deals[0])
    here.win(deals[1])
    run = await here.sync()
    here.win(deals[2])
    await here.sync()
    (text,) = here.ops
    assert "2 new projects, limits.projects_per_run allows 1" in text
    assert f"handoff sync --approve {run.plan.digest}" in text
    await here.sync(force=True)
    assert here.ops[1].startswith("Over, after 40 min: A plan was refused")


async def test_a_look_at_some_records_does_not_say_that_a_plan_is_accepted(tmp_path: Path) -> None:
    here = world(tmp_path, rules=RULES.replace("projects_per_run: 10", "projects_per_run: 1") + CHANNELS + ALERTS)
    deals = await here.begin("One", "Two")
    for deal in deals:
        here.win(deal)
    await here.sync()
    await here.sync(only=(f"salesforce:deal:{deals[0]}",))
    assert [text.split(",")[0] for text in here.ops] == ["A plan was refused"]
    await here.sync()
    assert here.ops[1].startswith("Over, after 40 min")


# something waits for a person


async def test_each_thing_that_waits_is_told_once_and_not_when_it_is_decided(tmp_path: Path) -> None:
    here = world(tmp_path)
    (deal,) = await here.begin()
    here.tool.fault("POST /api/1.0/batch", "error_before", status=400)
    here.win(deal)
    run = await here.sync()
    assert run.counts["parked"], run.errors
    told = list(here.ops)
    assert len(told) == run.counts["parked"]
    assert all(text.startswith("Waits for a person: create ") and "handoff status" in text for text in told)
    await here.sync()
    with here.store() as store:
        for intent in Outbox(store).parked():
            Outbox(store).retry(intent.seq, here.clock())
    await here.quiet()
    assert here.ops == told
    assert len(here.shown()) == 1


# nobody hears


async def test_a_channel_that_hears_nothing_is_told_to_the_others(tmp_path: Path) -> None:
    here = world(tmp_path, rules=RULES + RULE + CHANNELS + ALERTS.replace("[ops]", "[ops, desk]"))
    (deal,) = await here.begin()
    here.mouth.fault("POST /slack", "error_before", status=400)
    here.win(deal)
    await here.sync()
    await here.sync()
    (text,) = here.ops
    assert text.startswith("Channel desk was not told 1 messages: answered 400")
    assert here.desk == []
    await here.sync(minutes=26 * 60)
    await here.quiet()
    assert len(here.ops) == 1


# for other parts


async def test_others_raise_alerts_of_their_own(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    silence = Alert("silence", "salesforce", "**salesforce** has told of nothing for 3 hours")
    with here.store() as store:
        assert raise_alerts(store, here.loaded, [silence], here.clock(), about={"silence"}) == 1
        assert raise_alerts(store, here.loaded, [silence], here.clock(), about={"silence"}) == 0
    await here.sync()
    assert here.ops == ["salesforce has told of nothing for 3 hours"]
    with here.store() as store:
        raise_alerts(store, here.loaded, [], here.clock(), about={"silence"})
    await here.sync()
    assert here.ops[1].startswith("Over, after 20 min: salesforce has told")


async def test_a_change_of_what_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    here = world(tmp_path)
    await here.begin()
    with here.store() as store:
        for mark in ("a", "a", "b"):
            raise_alerts(store, here.loaded, [Alert("failed", "x", f"it is {mark}", mark)], here.clock(), about={"failed"})
            here.clock.move(minutes=1)
            await deliver(store, here.loaded, here.runtime())
    assert here.ops == ["it is a", "it is b"]


async def test_only_what_was_asked_for_is_told(tmp_path: Path) -> None:
    here = world(tmp_path, rules=RULES + CHANNELS + ALERTS + "  on: [refused]\n")
    await here.begin()
    here.board.tokens.clear()
    await here.sync()
    assert here.ops == []


def test_an_approval_says_what_is_asked() -> None:
    asked = Approval(
        *(7, "run", "abc", "create 30 projects", ["30 new projects, allowed 25"], {}, "waiting"),
        *(START, START + timedelta(days=3)),
    )
    alert = of_approval(asked)
    assert (alert.kind, alert.subject, alert.mark) == ("approval", "7", "abc")
    assert "create 30 projects" in alert.text
    assert "handoff approvals" in alert.text


async def test_an_alert_that_died_with_its_run_is_raised_by_the_next(tmp_path: Path) -> None:
    """In whichever commit a run dies: the alert and the message about it are decided together."""
    steps: list[str] = []
    at = 0
    while at == 0 or at <= len(steps):
        here = world(tmp_path / str(at))
        await here.begin()
        here.board.tokens.clear()
        here.death = Death(at)
        if at == 0:
            await here.sync()
            steps = here.death.steps
        else:
            with pytest.raises(Crash):
                await here.sync()
        here.death = Death()
        for _ in range(2):
            await here.sync()
        send = next(number for number, step in enumerate(steps, 1) if step.startswith("before POST /dingtalk"))
        assert len(here.ops) == (0 if at in {send - 1, send} else 1), steps[at - 1]
        at += 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("to: [ops]", "to: [opps]", "unknown channel opps"),
        ("to: [ops]", "to: []", "should not be empty"),
        ("repeat_after_hours: 24", "on: [faild]", "did you mean failed?"),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    rules = (RULES + CHANNELS + ALERTS).replace(old, new)
    here = world(tmp_path, rules=rules)
    with pytest.raises(ConfigError) as raised:
        load(here.folder, here.env)
    (problem,) = raised.value.problems
    assert told in problem.message
    assert problem.line == next(number for number, line in enumerate(rules.splitlines(), 1) if new in line)
