"""Leases: one holder at a time, and nobody relies on what somebody else has claimed since."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event

import pytest

from engine.model import Action, Item
from state import Lease, Leases, Outbox, Outcome, Store
from state.leases import held_elsewhere, touch

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TERM = timedelta(seconds=60)


def named(leases: list[Lease]) -> list[str]:
    return [lease.name for lease in leases]


def test_a_name_is_held_by_one_at_a_time(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    assert named(first.claim(["b", "a"], NOW)) == ["b", "a"]
    assert named(second.claim(["a", "b", "c"], NOW)) == ["c"]
    assert held_elsewhere(store, ["a", "c", "d"], NOW) == {"a", "c"}


def test_what_is_released_is_free_at_once(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    first.release(first.claim(["a"], NOW))
    assert named(second.claim(["a"], NOW)) == ["a"]


def test_a_lease_whose_time_is_up_may_be_claimed_and_the_late_holder_is_told(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    (late,) = first.claim(["a"], NOW)
    assert second.claim(["a"], NOW + TERM - timedelta(seconds=1)) == []
    (lease,) = second.claim(["a"], NOW + TERM)
    assert lease.fence == late.fence + 1
    assert first.confirm([late], NOW + TERM) == {}
    assert list(second.confirm([lease], NOW + TERM)) == ["a"]


def test_a_late_holder_releases_nothing_of_its_successors(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    late = first.claim(["a"], NOW)
    lease = second.claim(["a"], NOW + TERM)
    first.release(late)
    assert list(second.confirm(lease, NOW + TERM)) == ["a"]


def test_the_fence_and_not_the_name_of_the_holder_decides(store: Store) -> None:
    leases = Leases(store, "same")
    (late,) = leases.claim(["a"], NOW)
    (lease,) = leases.claim(["a"], NOW + TERM)
    assert leases.confirm([late], NOW + TERM) == {}
    assert leases.confirm([lease], NOW + TERM) == {"a": lease}


def test_a_lease_nobody_claimed_is_still_held_after_its_time(store: Store) -> None:
    leases = Leases(store, "first")
    late = leases.claim(["a"], NOW)
    held = leases.confirm(late, NOW + 3 * TERM)
    assert held["a"].expires_at == NOW + 4 * TERM
    assert Leases(store, "second").claim(["a"], NOW + 3 * TERM) == []


def test_a_lease_is_renewed_when_half_its_time_is_gone(store: Store) -> None:
    leases = Leases(store, "first")
    lease = leases.claim(["a"], NOW)
    early, late = NOW + 0.4 * TERM, NOW + 0.6 * TERM
    assert leases.confirm(lease, early)["a"].expires_at == NOW + TERM
    assert leases.confirm(lease, late)["a"].expires_at == late + TERM


def test_a_clock_that_was_an_hour_ahead_holds_nothing_up(store: Store) -> None:
    Leases(store, "ahead").claim(["a"], NOW + timedelta(hours=1))
    assert named(Leases(store, "second").claim(["a"], NOW)) == ["a"]


def test_whoever_changes_a_project_tells_its_holder(store: Store) -> None:
    leases = Leases(store, "first")
    (lease,) = leases.claim(["a"], NOW)
    touch(store, ["a", "new", "a"])
    assert leases.confirm([lease], NOW)["a"].revision == lease.revision + 1
    assert leases.claim(["new"], NOW)[0].revision == 1


def test_a_claim_that_is_rolled_back_is_none(store: Store) -> None:
    leases = Leases(store, "first")

    def fail() -> None:
        with store.transaction():
            leases.claim(["a"], NOW)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert named(Leases(store, "second").claim(["a"], NOW)) == ["a"]


def test_a_process_that_died_holds_nothing_of_an_embedded_store(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", now=NOW) as store:
        (late,) = Leases(store, "dead").claim(["a"], NOW)
    with Store(tmp_path / "s.db", now=NOW) as store:
        (lease,) = Leases(store, "next").claim(["a"], NOW)
        assert lease.fence == late.fence + 1


def test_nobody_waits_in_a_circle(fresh_state: Callable[[], str]) -> None:
    """One who decides and three who work, each with a connection of its own, all at the same projects."""
    url, done = fresh_state(), Event()
    Store(url, now=NOW).close()

    def decide() -> None:
        with Store(url, now=NOW) as store:
            for turn in range(60):
                projects = Random(turn).sample(range(60), 20)
                births = [birth(f"p{project}", f"p{project}/{turn}") for project in projects]
                with store.transaction():
                    Outbox(store).decide(births, "run", NOW)
            done.set()

    def work(name: str) -> None:
        with Store(url, now=NOW) as store:
            outbox, leases, chance = Outbox(store), Leases(store, name), Random(name)
            while not done.is_set():
                due = outbox.due_projects("asana", NOW)
                chance.shuffle(due)
                held = leases.claim(due[:6], NOW)
                with store.transaction():
                    for lease in leases.confirm(held, NOW + 0.6 * TERM).values():
                        outcomes = [Outcome(intent, "done", "1", "url") for intent in outbox.of_project(lease.name)]
                        outbox.settle(outcomes, NOW)
                with store.transaction():
                    leases.release(held[:3])
                    more = leases.claim(due[6:9], NOW)
                leases.release([*held, *more])

    with ThreadPoolExecutor() as pool:
        workers = [pool.submit(work, f"worker {number}") for number in range(3)]
        try:
            pool.submit(decide).result(timeout=60)
        finally:
            done.set()
    for worker in workers:
        worker.result()


def birth(project: str, key: str) -> Action:
    item = Item(key, "task", {"name": key}, project, project)
    return Action("create", item, "asana", "salesforce:deal:1", "onboarding", "deal.won", NOW, "rule", "why")
