"""Rules tell people: once for each event, whatever breaks, and never at the cost of a sync."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.base import ConfigError
from connectors.channels.bot import Bot
from flows.configuration import channel_problems, load
from flows.pipeline import Options, gather
from flows.session import Session, connect
from sandbox.notify import TOKEN
from state import Notices
from tests.flows.files import RULES
from tests.flows.told import AMOUNT, CHANNELS, RULE, SECRET, Telling
from tests.flows.world import Crash, Death

WON = "*Big deal* is won: 5,000.00 EUR"


async def test_an_event_is_told_once_with_a_link_to_what_was_made(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.win(deal)
    run = await world.sync()
    (text,) = world.desk
    url = next(iter(world.board.projects.values()))["permalink_url"]
    assert text == f"{WON}\n\n<{url}|Big deal onboarding>"
    assert (run.result, run.counts["told"]) == ("done", 1)
    await world.quiet()
    assert len(world.desk) == 1


async def test_a_message_by_itself_is_something_done(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES + AMOUNT + CHANNELS)
    (deal,) = await world.begin()
    world.change(deal, Amount=7000)
    assert (await world.sync()).result == "done"
    assert world.desk == ["Big deal is now worth 7000"]


async def test_each_change_is_an_event_of_its_own(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES + AMOUNT + CHANNELS)
    (deal,) = await world.begin()
    for amount in (7000, 9000, 7000):
        world.change(deal, Amount=amount)
        await world.sync()
    assert world.desk == [f"Big deal is now worth {amount}" for amount in (7000, 9000, 7000)]


async def test_history_is_told_nobody(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    world.deal("Old", stage="Closed Won")
    await world.sync()
    assert not world.desk
    run = await world.sync(since=date(2026, 1, 1))
    assert world.shown() == ["Old onboarding"]
    assert not world.desk
    assert any("history" in decision.reason for decision in run.plan.decisions)


async def test_a_plan_shows_whom_it_tells_and_a_digest_stands_for_it(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.win(deal)
    digests = set[str]()
    for rules in (RULES, RULES + RULE + CHANNELS, RULES + RULE.replace("is won", "was won") + CHANNELS):
        world.configure({"rules.yaml": rules})
        runtime = world.runtime()
        world.clock.move(minutes=20)
        with world.store() as store:
            async with connect(world.loaded, runtime) as (sources, targets):
                session = Session(world.loaded, store, sources, targets, f"run-{len(digests)}", runtime)
                _, planned = await gather(session, Options())
                session.reader.end()
        digests.add(planned.digest)
    assert len(digests) == 3
    (notice,) = planned.notices
    assert (notice.channel, notice.text) == ("desk", "**Big deal** was won: 5,000.00 EUR")
    assert notice.why.startswith("rule tell, rules.yaml:")
    assert not world.desk


async def test_a_refused_plan_tells_nobody_of_its_events(tmp_path: Path) -> None:
    world = Telling(tmp_path, rules=RULES.replace("projects_per_run: 10", "projects_per_run: 0") + RULE + CHANNELS)
    (deal,) = await world.begin()
    world.win(deal)
    assert (await world.sync()).result == "refused"
    assert not world.desk
    await world.sync(force=True)
    assert len(world.desk) == 1


async def test_a_record_that_is_looked_at_again_is_told_of_once(tmp_path: Path) -> None:
    broken = RULE.replace("name: tell", "name: broken").replace("deal.amount is not none", "1 / (deal.amount - 5000) > 0")
    world = Telling(tmp_path, rules=RULES + RULE + broken + CHANNELS)
    (deal,) = await world.begin()
    world.win(deal)
    for number in range(3):
        run = await world.sync()
        assert run.plan.count("failed") == 1
        assert len(run.plan.notices) == (1 if number == 0 else 0)
        world.change(deal, NextStep=f"Call {number}")
    assert any(decision.reason == "desk was told already" for decision in run.plan.decisions)
    assert len(world.desk) == 1


# the channel is at fault


async def test_a_channel_that_is_down_for_hours_holds_nothing_up_and_is_told_when_it_is_back(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    deals = await world.begin("One", "Two")
    down = world.mouth.fault("POST /slack", "error_before", times=-1, status=503)
    world.win(deals[0])
    run = await world.sync()
    assert (world.shown(), run.result) == (["One onboarding"], "done")
    for _ in range(30):
        await world.sync(minutes=20)
    assert down.struck < 20  # with growing pauses
    world.win(deals[1])
    world.mouth.faults.clear()
    await world.sync(minutes=70)
    await world.sync(minutes=70)
    assert [text.split(" is ")[0] for text in world.desk] == ["*One*", "*Two*"]
    assert {row["state"] for row in world.rows()} == {"sent"}


async def test_a_channel_that_refused_is_left_alone_by_new_messages_too(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    deals = await world.begin("One", "Two")
    world.mouth.fault("POST /slack", "error_before", times=1, status=503)
    world.win(deals[0])
    await world.sync()
    world.win(deals[1])
    await world.sync(minutes=0.5)
    assert [row["state"] for row in world.rows()] == ["due", "due"]
    assert sum(world.mouth.seen.values()) == 1
    await world.sync()
    assert len(world.desk) == 2


async def test_after_a_day_it_is_given_up_shown_and_can_be_tried_again(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.mouth.fault("POST /slack", "error_before", times=-1, status=503)
    world.win(deal)
    runs = [await world.sync(minutes=60) for _ in range(26)]
    assert sum(run.counts["given up"] for run in runs) == 1
    assert {row["state"] for row in world.rows()} == {"given up"}
    world.mouth.faults.clear()
    await world.sync(minutes=60)
    assert not world.desk
    with world.store() as store:
        (traffic,) = Notices(store).traffic()
        assert (traffic.channel, traffic.sent, traffic.late, traffic.given_up) == ("desk", 0, 0, 1)
        assert "503" in traffic.error
        assert Notices(store).retry(world.clock()) == 1
    await world.sync()
    assert len(world.desk) == 1


async def test_a_lost_answer_is_not_repeated(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.mouth.fault("POST /slack", "reset_after", times=-1)
    world.win(deal)
    await world.quiet()
    assert len(world.desk) == 1
    ((row),) = world.rows()
    assert row["state"] == "sent"
    assert "may have arrived" in row["error"]


async def test_a_refusal_for_good_is_given_up_and_the_next_message_goes_out(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    deals = await world.begin("One", "Two")
    world.mouth.fault("POST /slack", "error_before", status=400)
    for deal in deals:
        world.win(deal)
    run = await world.sync()
    assert (run.counts["given up"], run.counts["told"]) == (1, 1)
    assert len(world.desk) == 1


async def test_a_channel_that_stalls_costs_seconds_and_others_none(tmp_path: Path) -> None:
    other = RULE.replace("name: tell", "name: tell-ops").replace("notify: desk", "notify: ops")
    world = Telling(tmp_path, rules=RULES + RULE + other + CHANNELS)
    deals = await world.begin("One", "Two", "Three")
    world.mouth.fault("POST /slack", "slow", times=-1, seconds=3)
    for deal in deals:
        world.win(deal)
    begun = world.clock() + timedelta(minutes=20)
    await world.sync()
    assert world.clock() - begun < timedelta(seconds=10)
    assert len(world.desk) == 2  # the third was not begun
    assert len(world.ops) == 3
    world.mouth.faults.clear()
    await world.sync()
    assert len(world.desk) == 3


async def test_a_channel_that_fails_as_nobody_foresaw_fails_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin("One")
    world.win(deal)
    monkeypatch.setattr(Bot, "send", None)
    assert (await world.sync()).result == "done"
    assert world.shown() == ["One onboarding"]


async def test_a_service_that_asks_for_a_pause_gets_it(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.mouth.fault("POST /slack", "error_before", status=429)
    world.win(deal)
    await world.sync()
    ((row),) = world.rows()
    assert (row["state"], row["attempts"]) == ("due", 0)
    await world.sync(minutes=0.5)
    assert not world.desk
    await world.sync(minutes=1)
    assert len(world.desk) == 1


async def test_no_more_messages_a_minute_than_a_service_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.channels.slack.PER_MINUTE", 1)
    world = Telling(tmp_path)
    deals = await world.begin("One", "Two", "Three")
    for deal in deals[:2]:
        world.win(deal)
    await world.sync()
    assert len(world.desk) == 1
    await world.sync(minutes=0.1)
    assert len(world.desk) == 1
    await world.sync()
    assert len(world.desk) == 2


async def test_a_channel_that_was_taken_out_is_given_up_in_time(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.mouth.fault("POST /slack", "error_before", times=-1, status=503)
    world.win(deal)
    await world.sync()
    world.configure({"rules.yaml": RULES})
    await world.sync(minutes=5)
    assert "no such channel" in world.rows()[0]["error"]
    await world.sync(minutes=25 * 60)
    assert world.rows()[0]["state"] == "given up"


# floods


async def test_many_become_one_message_with_links_and_an_end(tmp_path: Path) -> None:
    rules = RULES.replace("projects_per_run: 10", "projects_per_run: 100")
    world = Telling(tmp_path, rules=rules + RULE + CHANNELS)
    deals = await world.begin(*(f"Deal {number:02}" for number in range(25)))
    for deal in deals:
        world.win(deal)
    await world.sync()
    (text,) = world.desk
    lines = text.split("\n")
    assert lines[0] == "*25 messages from Handoff*"
    assert lines[2].startswith("- *Deal 00* is won: 5,000.00 EUR (<https://")
    assert lines[-1] == "- … and 5 more"
    assert len(lines) == 23
    assert len({row["key"] for row in world.rows()}) == 25
    await world.quiet()
    assert len(world.desk) == 1


async def test_three_go_one_by_one(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    for deal in await world.begin("One", "Two", "Three"):
        world.win(deal)
    await world.sync()
    assert len(world.desk) == 3


# crashes


async def test_wherever_a_run_dies_nobody_is_told_twice_and_what_had_not_left_is_told(tmp_path: Path) -> None:
    steps = await _steps(tmp_path / "whole")
    send = next(number for number, step in enumerate(steps, 1) if step.startswith("before POST /slack"))
    for at in range(1, len(steps) + 1):
        world = Telling(tmp_path / str(at))
        (deal,) = await world.begin()
        world.win(deal)
        world.death = Death(at)
        with pytest.raises(Crash):
            await world.sync()
        world.death = Death()
        await world.quiet()
        lost = at in {send - 1, send}  # claimed, and it never left: nobody can know
        assert len(world.desk) == (0 if lost else 1), steps[at - 1]
        assert {row["state"] for row in world.rows()} == {"sent"}
        assert len(world.shown()) == 1


async def _steps(path: Path) -> list[str]:
    world = Telling(path)
    (deal,) = await world.begin()
    world.win(deal)
    world.death = Death()
    await world.sync()
    return world.death.steps


async def test_two_processes_do_not_send_the_same(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    (deal,) = await world.begin()
    world.mouth.fault("POST /slack", "error_before", status=503)
    world.win(deal)
    await world.sync()
    with world.store() as store:
        notices, later = Notices(store), world.clock() + timedelta(hours=1)
        due = notices.due("desk", later)
        assert [one.key for one in notices.leave(due, later)] == [due[0].key]
        assert notices.leave(due, later) == []
        assert notices.channels(later) == []


# secrets


async def test_no_secret_is_in_the_state(tmp_path: Path) -> None:
    world = Telling(
        tmp_path, rules=RULES + RULE + RULE.replace("name: tell", "name: tell-ops").replace("notify: desk", "notify: ops") + CHANNELS
    )
    deals = await world.begin("One", "Two", "Three", "Four")
    faults = (("reset_after", 0), ("error_before", 404), ("html_ok", 0), ("refuse", 0))
    for deal, (kind, status) in zip(deals, faults, strict=True):
        world.mouth.faults.clear()
        world.mouth.fault("POST", kind, times=-1, status=status)  # type: ignore[arg-type]
        world.win(deal)
        await world.sync(minutes=90)
    assert len(world.rows()) == 8
    held = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("state*")))  # noqa: ASYNC240 - nothing else goes on
    assert b"is won" in held
    assert TOKEN.encode() not in held
    assert SECRET.encode() not in held


# configuration


@pytest.mark.parametrize(
    ("old", "new", "told", "hint"),
    [
        ("notify: desk", "notify: dsek", "unknown channel dsek", "did you mean desk?"),
        ("{{ deal.name }}", "{{ deal.nmae }}", "unknown field deal.nmae", "did you mean name?"),
        ("slack:", "slak:", "unknown key 'slak'", "did you mean slack?"),
        ("secret:", "secert:", "unknown key 'secert'", "did you mean secret?"),
        ("${ROBOT}", "${ROBOTT}", "ROBOTT is not set", ""),
        ("http://localhost:7001/slack", "ftp://localhost/slack", "should be an address", ""),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, old: str, new: str, told: str, hint: str) -> None:
    world = Telling(tmp_path)
    rules = (RULES + RULE + CHANNELS).replace(old, new, 1)
    world.configure({"rules.yaml": rules})
    with pytest.raises(ConfigError) as raised:
        load(world.folder, world.env)
    (problem,) = raised.value.problems
    assert told in problem.message
    assert hint in problem.hint
    assert problem.line == next(number for number, line in enumerate(rules.splitlines(), 1) if new in line)
    assert TOKEN not in str(problem)


def test_without_connecting_a_channel_needs_no_secret(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    loaded = load(world.folder, {}, connect=False)
    assert loaded.channels == {}
    assert channel_problems(loaded.configuration) == []
    world.configure({"rules.yaml": RULES + RULE + CHANNELS.replace(" secret:", " secert:")})
    (problem,) = channel_problems(load(world.folder, {}, connect=False).configuration)
    assert "unknown key 'secert'" in problem.message


def test_channels_without_any_are_asked_for(tmp_path: Path) -> None:
    world = Telling(tmp_path)
    world.configure({"rules.yaml": RULES + RULE})
    with pytest.raises(ConfigError, match="no 'channels' section"):
        load(world.folder, world.env)
