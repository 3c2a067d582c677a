"""What waits is found with the moment it began, and a person's word on it is kept; on both engines."""

from __future__ import annotations

from datetime import timedelta

from engine.model import WriteBack
from state import Outbox, Outcome, Store
from state.waiting import dismiss_back, in_doubt, parked, refused, retry_back, state_of, undecided
from tests.state.test_outbox import LATER, NOW, PROJECT, TASK, action, only

ROW = WriteBack("deal", "006", {"Handoff_Status__c": "in_progress"})


def test_a_parked_action_waits_since_it_was_refused(store: Store, outbox: Outbox) -> None:
    outbox.decide([action("create")], "run", NOW)
    outbox.settle([Outcome(only(outbox), "parked", error="no such user")], LATER)
    ((intent, since),) = parked(store)
    assert (intent.key, intent.error, since) == (TASK, "no such user", LATER)
    assert in_doubt(store) == []
    found = state_of(store, intent.seq)
    assert found is not None
    assert (found.state, state_of(store, 4711)) == ("parked", None)


def test_an_action_in_doubt_says_when_it_was_sent_and_when_it_is_looked_for(store: Store, outbox: Outbox) -> None:
    outbox.decide([action("create", PROJECT)], "run", NOW)
    outbox.sent([only(outbox)], {only(outbox).seq: "n"}, NOW)
    outbox.settle([Outcome(only(outbox), "doubt", due_at=LATER, error="the answer was lost")], NOW)
    (intent,) = in_doubt(store)
    assert (intent.key, intent.sent_at, intent.due_at, parked(store)) == (PROJECT, NOW, LATER, [])


def refuse(store: Store, error: str = "FIELD_CUSTOM_VALIDATION_EXCEPTION") -> None:
    with store.transaction():
        store.want_back("salesforce", [ROW], NOW)
        store.settle_back("salesforce", ROW, error, park=True, now=LATER)


def test_a_refused_write_back_is_told_with_its_fields_and_tried_again(store: Store) -> None:
    refuse(store)
    (row,) = refused(store)
    assert (row.source, row.since, row.fields, row.why[:5]) == ("salesforce:deal:006", LATER, ("Handoff_Status__c",), "FIELD")
    with store.transaction():
        retry_back(store, row)
    assert (refused(store), store.due_back("salesforce")) == ([], [ROW])


def test_a_dismissed_write_back_is_due_again_only_with_something_else_to_tell(store: Store) -> None:
    refuse(store)
    with store.transaction():
        dismiss_back(store, refused(store)[0])
        store.want_back("salesforce", [ROW], NOW)
    assert (refused(store), store.due_back("salesforce")) == ([], [])
    more = WriteBack("deal", "006", {"Handoff_Status__c": "complete"})
    with store.transaction():
        store.want_back("salesforce", [more], NOW)
    assert store.due_back("salesforce") == [more]


def test_undecided_records_come_eldest_first(store: Store) -> None:
    with store.transaction():
        store.save_recheck("salesforce", "deal", {"2": "division by zero"}, NOW)
        store.save_recheck("salesforce", "customer", {"1": "no rate"}, NOW - timedelta(days=1))
    assert [(row.source, row.why) for row in undecided(store)] == [
        ("salesforce:customer:1", "no rate"),
        ("salesforce:deal:2", "division by zero"),
    ]
