"""Signs of life, of use, and figures: read by Prometheus' own parser."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.base import AuthError, Budget, StateError, Transient
from engine.model import Hint, WriteBack
from flows import gauges
from hub import facts
from state import Store
from state.approvals import Approvals, Question
from state.database import Database
from state.inbox import Arrivals, Inbox
from state.subscriptions import Subscribed, Subscriptions
from tests.hub.rig import START, Hub

EARLIER = START - timedelta(minutes=10)


def made(hub: Hub) -> Store:
    assert isinstance(hub.state, Path)
    return Store(hub.state, now=START)


def read(hub: Hub, *, minutes: int = 1) -> None:
    with made(hub) as store:
        store.save_cursor("salesforce", "deal", "c", START - timedelta(minutes=minutes))
        store.save_cursor("salesforce", "customer", "c", START)


def test_alive_is_whoever_answers(hub: Hub) -> None:
    assert hub.client.get("/healthz").text == "ok\n"


def test_ready_is_who_can_write_and_has_read_the_crm_lately(hub: Hub) -> None:
    read(hub)
    assert hub.client.get("/readyz").json() == {"ready": True}
    hub.clock.move(minutes=60)
    late = hub.client.get("/readyz", headers=hub.bearer())
    assert (late.status_code, late.json()["reasons"]) == (503, ["salesforce was last read to its end 61 minutes ago"])


def test_why_it_is_not_ready_is_told_to_those_who_may_come_in(hub: Hub) -> None:
    answer = hub.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False})
    (reason,) = hub.client.get("/readyz", headers=hub.bearer()).json()["reasons"]
    assert "there is no state at" in reason
    with made(hub):
        pass
    (reason,) = hub.client.get("/readyz", headers=hub.bearer()).json()["reasons"]
    assert reason == "salesforce has not been read to its end yet"


def test_a_hub_that_cannot_write_is_not_ready(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    read(hub)

    def full(inbox: Inbox, *_: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(Inbox, "store", full)
    answer = hub.client.get("/readyz", headers=hub.bearer())
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the hub's database: the disk is full"])


def figures(hub: Hub) -> dict[str, float]:
    text = hub.client.get("/metrics", headers=hub.bearer()).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{one.name}{tuple(one.labels.values()) or ''}": one.value for one in samples}


def fill(store: Store) -> None:
    store.start_run("r1", "sync", EARLIER)
    store.end_run("r1", "with errors", {"calls salesforce": 7}, EARLIER + timedelta(seconds=9))
    store.want_back("salesforce", [WriteBack("deal", "1", {"a": 1}), WriteBack("deal", "2", {"a": 1})], EARLIER)
    store.settle_back("salesforce", WriteBack("deal", "2", {"a": 1}), "no", park=True, now=START)
    store.save_recheck("salesforce", "deal", {"3": "why"}, EARLIER)
    gauges.note(store, {"salesforce": Budget(900, 1000), "asana": None}, [AuthError("no"), None], EARLIER)
    gauges.note(store, {}, [AuthError("no"), Transient("away")], START)
    notice = "INSERT INTO notice (key, channel, source, rule, text, state, at, due_at) VALUES (?, 'c', 's', 'r', 't', ?, ?, ?)"
    at = EARLIER.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    store.db.executemany(notice, [("1", "due", at, at), ("2", "given up", at, at), ("3", "sent", at, at)])


def fill_hub(db: Database) -> None:
    arrived = Arrivals()
    arrived.add("salesforce", [Hint("deal", "1"), Hint("deal", "2")], events=3)
    arrived.refuse("salesforce", "signature")
    arrived.refuse("", "path")
    Inbox(db).store(arrived, EARLIER)
    Inbox(db).note_missed("salesforce", 4, START)
    Subscriptions(db).save([Subscribed("zoho", "Deals", "1", expires_at=START + timedelta(hours=1), healthy=False)], START)
    Approvals(db).ask(Question("run", "d", "t", [], {}), EARLIER, START + timedelta(hours=1))


def test_figures_tell_of_everything_that_may_go_wrong(hub: Hub) -> None:
    read(hub)
    with made(hub) as store:
        fill(store)
    hub.look(fill_hub)
    found = figures(hub)
    expected = {
        "handoff_readable('state',)": 1,
        "handoff_readable('hub',)": 1,
        "handoff_source_lag_seconds('deal', 'salesforce')": 60,
        "handoff_pending('open',)": 0,
        "handoff_pending('write-backs due',)": 1,
        "handoff_pending('write-backs refused',)": 1,
        "handoff_pending('to look at again',)": 1,
        "handoff_pending('notices due',)": 1,
        "handoff_pending('notices given up',)": 1,
        "handoff_pending_oldest_seconds('notices due',)": 600,
        "handoff_run_errors_total('AuthError',)": 2,
        "handoff_run_errors_total('Transient',)": 1,
        "handoff_api_quota_left('salesforce',)": 900,
        "handoff_api_quota('salesforce',)": 1000,
        "handoff_api_quota_told_seconds('salesforce',)": 600,
        "handoff_last_run_started_seconds": 600,
        "handoff_last_run_duration_seconds": 9,
        "handoff_last_run_result('with errors',)": 1,
        "handoff_last_run_calls('salesforce',)": 7,
        "handoff_push_deliveries_total('salesforce',)": 1,
        "handoff_push_events_total('salesforce',)": 3,
        "handoff_push_hints_total('salesforce',)": 2,
        "handoff_push_missed_total('salesforce',)": 4,
        "handoff_push_refused_total('signature', 'salesforce')": 1,
        "handoff_push_refused_total('path', '')": 1,
        "handoff_push_last_delivery_seconds('salesforce',)": 600,
        "handoff_inbox_hints('salesforce',)": 2,
        "handoff_inbox_oldest_seconds('salesforce',)": 600,
        "handoff_subscription_expires_in_seconds('Deals', 'zoho')": 3600,
        "handoff_subscription_healthy('Deals', 'zoho')": 0,
        "handoff_approvals_waiting": 1,
        "handoff_approvals_oldest_seconds": 600,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_figures_of_what_cannot_be_read_are_left_out_and_that_is_told(hub: Hub) -> None:
    found = figures(hub)
    assert (found["handoff_readable('state',)"], found["handoff_readable('hub',)"]) == (0, 1)
    assert not [name for name in found if name.startswith("handoff_pending")]


def test_facts_are_the_same_on_postgresql(fresh_state: object) -> None:
    assert callable(fresh_state)
    where = fresh_state()
    assert facts.gather(where, START).state is None
    with Store(where, now=START) as store:
        fill(store)
    found = facts.gather(where, START).state
    assert found is not None
    assert (found.errors, found.piles["notices due"]) == ({"AuthError": 2, "Transient": 1}, (1, EARLIER))
