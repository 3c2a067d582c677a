"""Decisions on their way: a key is born once, doubt is never forgotten, and nothing of what should be written gets lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.model import Action, Item, Op
from state import Intent, Outbox, Outcome

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
PROJECT = "salesforce:deal:1/onboarding"
TASK = f"{PROJECT}/kickoff"


def action(op: Op, key: str = TASK, fields: Mapping[str, Any] | None = None, changed: Mapping[str, Any] | None = None) -> Action:
    item = Item(key, "project" if key == PROJECT else "task", fields or {"name": "One"}, PROJECT, "" if key == PROJECT else PROJECT)
    keep = dict.fromkeys(changed or {}, "in_step")
    return Action(op, item, "asana", "salesforce:deal:1", "onboarding", "deal.won", NOW, "rule", "why", changed or {}, keep)


def only(outbox: Outbox) -> Intent:
    (intent,) = outbox.of_project(PROJECT)
    return intent


def made(outbox: Outbox, key: str = TASK) -> None:
    outbox.decide([action("create", key)], "run", NOW)
    outbox.settle([Outcome(only(outbox), "done", "77", "https://tool/77", base={"name": "One"})], NOW)


def test_a_key_is_born_once(outbox: Outbox) -> None:
    for name in ("One", "Two"):
        outbox.decide([action("create", fields={"name": name})], "run", NOW)
    assert only(outbox).op == "create"
    assert outbox.links([TASK])[TASK].item.fields == {"name": "One"}


def test_a_key_that_was_made_is_not_born_again(outbox: Outbox) -> None:
    made(outbox)
    outbox.decide([action("create")], "run", NOW)
    assert outbox.of_project(PROJECT) == []
    assert outbox.matching("77")[0].url == "https://tool/77"


def test_an_update_of_what_was_not_sent_changes_what_will_be_sent(outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    outbox.decide([action("update", fields={"name": "Two"}, changed={"name": "Two"})], "run", NOW)
    assert only(outbox).op == "create"
    assert outbox.links([TASK])[TASK].item.fields == {"name": "Two"}


def test_an_update_that_waits_behind_a_creation_sent_again_brings_the_latest_values(outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    outbox.sent([only(outbox)], {1: "nonce"}, NOW)
    outbox.decide([action("update", fields={"name": "Two"}, changed={"name": "Two"})], "run", NOW)
    create, _ = outbox.of_project(PROJECT)
    outbox.settle([Outcome(create, "again", due_at=NOW)], NOW)
    outbox.decide([action("update", fields={"name": "Three"}, changed={"name": "Three"})], "run", NOW)
    assert outbox.links([TASK])[TASK].item.fields == {"name": "Three"}
    assert [intent.changed for intent in outbox.of_project(PROJECT)] == [{}, {"name": "Three"}]


def test_an_update_of_what_is_in_doubt_waits_and_remembers_what_was_sent(outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    outbox.sent([only(outbox)], {1: "nonce"}, NOW)
    outbox.decide([action("update", fields={"name": "Two"}, changed={"name": "Two"})], "run", NOW)
    assert [intent.op for intent in outbox.of_project(PROJECT)] == ["create", "update"]
    assert outbox.links([TASK])[TASK].base == {"name": "One"}


def test_updates_that_wait_become_one_and_lose_no_custom_field(outbox: Outbox) -> None:
    made(outbox)
    for changed in ({"name": "Two", "custom": {"a": 1, "b": 1}}, {"due_on": None, "custom": {"b": 2}}):
        outbox.decide([action("update", changed=changed)], "run", NOW)
    assert only(outbox).changed == {"name": "Two", "due_on": None, "custom": {"a": 1, "b": 2}}
    outbox.settle([Outcome(only(outbox), "done", base={"custom": {"a": 1}})], NOW)
    assert outbox.links([TASK])[TASK].base == {"name": "One", "custom": {"a": 1}}


@pytest.mark.parametrize("verdict", ["doubt", "again"])
def test_only_a_definite_answer_clears_doubt(verdict: Any, outbox: Outbox) -> None:
    outbox.decide([action("create", PROJECT)], "run", NOW)
    outbox.sent([only(outbox)], {1: "nonce"}, NOW)
    outbox.settle([Outcome(only(outbox), verdict, due_at=LATER, error="lost")], NOW)
    intent = only(outbox)
    assert (intent.sent_at, intent.nonce) == ((NOW, "nonce") if verdict == "doubt" else (None, ""))
    assert (intent.attempts, intent.due_at) == (1, LATER)
    assert outbox.counts()["in_doubt"] == (verdict == "doubt")
    assert outbox.orphans("asana", NOW) == ([] if verdict == "doubt" else ["nonce"])


def test_an_update_that_may_have_been_done_keeps_the_sign_of_it(outbox: Outbox) -> None:
    made(outbox)
    outbox.decide([action("update", changed={"name": "Two"})], "run", NOW)
    outbox.sent([only(outbox)], {}, NOW)
    outbox.settle([Outcome(only(outbox), "again", due_at=LATER, error="lost")], NOW)
    outbox.decide([action("update", changed={"name": "Three"})], "run", NOW)
    assert [intent.changed for intent in outbox.of_project(PROJECT)] == [{"name": "Two"}, {"name": "Three"}]


def test_what_was_parked_while_in_doubt_is_looked_up_when_it_is_tried_again(outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    outbox.sent([only(outbox)], {1: "nonce"}, NOW)
    outbox.settle([Outcome(only(outbox), "parked", error="two of them")], NOW)
    assert [intent.key for intent in outbox.parked()] == [TASK]
    outbox.retry(1, LATER)
    assert (only(outbox).sent_at, only(outbox).nonce, only(outbox).attempts) == (NOW, "nonce", 0)


def test_a_refused_attempt_that_is_tried_again_is_simply_sent(outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    before = only(outbox)
    outbox.sent([before], {1: "nonce"}, NOW)
    outbox.settle([Outcome(before, "parked", error="refused")], NOW)
    outbox.retry(1, LATER)
    assert only(outbox).sent_at is None


def test_a_refused_update_that_is_tried_again_brings_what_is_wanted_by_then(outbox: Outbox) -> None:
    made(outbox)
    for fields in ({"name": "Two", "custom": {"a": 1, "b": 1}}, {"name": "Three", "custom": {"a": 3, "b": 1}}):
        outbox.decide([action("update", fields=fields, changed={**fields, "custom": {"a": fields["custom"]["a"]}})], "run", NOW)  # type: ignore[index]
        outbox.settle([Outcome(only(outbox), "parked" if fields["name"] == "Two" else "done", base={"name": "Three"})], NOW)
    outbox.retry(outbox.parked()[0].seq, LATER)
    assert only(outbox).changed == {"name": "Three", "custom": {"a": 3}}


def test_work_is_ordered_parents_first_and_publishing_after_it(outbox: Outbox) -> None:
    items = [
        Item(f"{TASK}#comment", "comment", {"text": "x"}, PROJECT, TASK),
        Item(f"{TASK}#after", "dependency", {}, PROJECT, TASK),
        Item(f"{TASK}/sub", "task", {"name": "s"}, PROJECT, TASK),
        Item(TASK, "task", {"name": "t"}, PROJECT, PROJECT),
        Item(f"{PROJECT}/begin", "section", {"name": "b"}, PROJECT, PROJECT),
    ]
    like = action("create")
    actions = [Action(like.op, i, "asana", like.source, "onboarding", "deal.won", NOW, "rule", "why") for i in items]
    outbox.decide([action("publish", PROJECT), *actions, action("create", PROJECT)], "run", NOW)
    order = [intent.key.removeprefix(PROJECT) + ("!" if intent.op == "publish" else "") for intent in outbox.of_project(PROJECT)]
    assert order == ["", "/begin", "/kickoff", "/kickoff/sub", "/kickoff#after", "!", "/kickoff#comment"]


def test_the_next_moment_is_known_and_what_is_due(outbox: Outbox) -> None:
    outbox.decide([action("create", PROJECT)], "run", NOW)
    assert outbox.due_projects("asana", NOW) == [PROJECT]
    assert outbox.due_projects("other", NOW) == []
    outbox.settle([Outcome(only(outbox), "again", due_at=LATER)], NOW)
    assert outbox.due_projects("asana", NOW) == []
    assert outbox.next_due("asana") == LATER
    assert outbox.next_due("asana", after=LATER) is None


def test_a_key_decided_twice_at_once_is_born_once_as_first_decided(outbox: Outbox) -> None:
    outbox.decide([action("create", fields={"name": name}) for name in ("One", "Two")], "run", NOW)
    assert only(outbox).key == TASK
    assert outbox.links([TASK])[TASK].item.fields == {"name": "One"}


def test_updates_decided_at_once_become_one_with_the_latest_values(outbox: Outbox) -> None:
    made(outbox)
    first = {"name": "Two", "custom": {"Value": 1}}
    second = {"notes": "n", "custom": {"Tier": "VIP"}}
    outbox.decide([action("update", fields=changed, changed=changed) for changed in (first, second)], "run", NOW)
    assert only(outbox).changed == {"name": "Two", "notes": "n", "custom": {"Value": 1, "Tier": "VIP"}}
    assert outbox.links([TASK])[TASK].item.fields == second


def test_outcomes_of_every_kind_are_settled_together(outbox: Outbox) -> None:
    keys = [f"{PROJECT}/{number}" for number in range(4)]
    outbox.decide([action("create", key) for key in keys], "run", NOW)
    done, doubt, again, parked = outbox.of_project(PROJECT)
    outbox.sent([done, doubt, again, parked], {intent.seq: f"nonce {intent.seq}" for intent in (done, doubt, again, parked)}, NOW)
    outbox.settle(
        [
            Outcome(done, "done", "77", "https://tool/77", base={"name": "One"}),
            Outcome(doubt, "doubt", due_at=LATER, error="no answer"),
            Outcome(again, "again", due_at=LATER, error="away", counts=False),
            Outcome(parked, "parked", error="no such field"),
        ],
        NOW,
    )
    assert [(intent.key, intent.sent_at, intent.attempts, intent.error) for intent in outbox.of_project(PROJECT)] == [
        (keys[1], NOW, 1, "no answer"),
        (keys[2], None, 0, "away"),
    ]
    assert [intent.key for intent in outbox.parked()] == [keys[3]]
    assert outbox.links(keys)[keys[0]].remote_id == "77"
    assert outbox.counts() == {"open": 2, "in_doubt": 1, "parked": 1, "projects": 0, "published": 0}


def test_ten_thousand_keys_are_looked_up_and_decided_in_the_order_given(outbox: Outbox) -> None:
    keys = [f"{PROJECT}/{number}" for number in range(10_000)]
    outbox.decide([action("create", key) for key in keys], "run", NOW)
    assert outbox.links(keys).keys() == set(keys)
    assert [intent.key for intent in outbox.of_project(PROJECT)] == keys
    assert outbox.projects_of([f"salesforce:deal:{number}" for number in range(10_000)]) == []


def test_giving_up_a_project_gives_up_what_was_to_live_in_it(outbox: Outbox) -> None:
    outbox.decide([action("create", PROJECT), action("create"), action("create", f"{TASK}/other")], "run", NOW)
    project, *_ = outbox.of_project(PROJECT)
    outbox.settle([Outcome(project, "parked", error="no")], NOW)
    outbox.dismiss(project.seq, NOW)
    assert outbox.of_project(PROJECT) == []
    assert len(outbox.dismissed(PROJECT)) == 3


def test_what_a_project_consists_of_comes_in_the_order_of_birth_whatever_was_done_since(outbox: Outbox) -> None:
    keys = [f"{PROJECT}/{name}" for name in "cabfed"]
    outbox.decide([action("create", key) for key in keys], "run", NOW)
    for intent in reversed(outbox.of_project(PROJECT)):
        outbox.settle([Outcome(intent, "done", intent.key[-1], "", base={"name": "One"})], NOW)
    assert list(outbox.project_links(PROJECT)) == keys
