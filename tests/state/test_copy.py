"""A state that moves: every row arrives, on whichever engine, or nothing does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import state.copy
from connectors.base import StateError
from engine.model import Action, Hint, Item, WriteBack
from state import Intent, Leases, Note, Outbox, Outcome, Snapshot, Store
from state.approvals import Approvals, Question
from state.care import verify
from state.copy import copy
from state.hub import open_hub
from state.inbox import Arrivals, Inbox
from state.schema import HUB_KEYS, KEYS
from state.subscriptions import Subscriptions
from state.tokens import Tokens

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Place = Path | str


@pytest.fixture(params=itertools.product(["sqlite", "postgresql"], repeat=2), ids=" to ".join)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, Place]:
    """Where a state is, and where it shall go."""
    made: dict[str, Callable[[str], Place]] = {
        "sqlite": lambda name: tmp_path / f"{name}.db",
        "postgresql": lambda _: request.getfixturevalue("fresh_state")(),
    }
    source, target = request.param
    return made[source]("source"), made[target]("target")


def fill(store: Store) -> None:
    """Something in every table, awkward texts included; more rows than go over at a time."""
    outbox = Outbox(store)
    names = ["Größe 数据 🎉", 'it\'s "so"\n', "\\", "z", "Z", "é", "\uffff", "\U0001f600"]
    items = [Item(f"p{number:04}/{name}", "task", {"name": name}, "p", "p") for number, name in enumerate(names * 200)]
    with store.transaction():
        store.save_meta("key", "value")
        store.save_cursor("salesforce", "deal", "c", NOW)
        store.save_snapshots("salesforce", "deal", [Snapshot(name, "h", "{}", deleted=True) for name in names], NOW)
        outbox.decide([birth(item) for item in items], "run", NOW)
        store.note("run", [Note(name, "", "", "note", name) for name in names], NOW)
        store.save_recheck("salesforce", "deal", {"1": "why"}, NOW)
        store.want_back("salesforce", [WriteBack("deal", "1", {"a": 1})], NOW)
        store.start_run("run", "sync", NOW)
    first, second, *_ = outbox.of_project("p")
    outbox.sent([first, second], {}, NOW)
    outbox.settle([Outcome(first, "done", "1", "https://tool/1"), Outcome(second, "doubt", due_at=NOW)], NOW)
    store.db.execute("INSERT INTO orphan (nonce, target, key, at) VALUES ('n', 'asana', 'k', '')")
    store.db.execute("INSERT INTO news (key) VALUES ('k')")
    store.db.execute(
        "INSERT INTO notice (key, channel, source, rule, text, at, due_at) VALUES ('n', 'desk', 's', 'r', 'Größe 数据', '', '')"
    )
    store.db.execute("INSERT INTO alert (kind, subject, mark, text, since, told_at) VALUES ('failed', 'asana', '', 'x', '', '')")


def fill_hub(place: Place) -> None:
    with closing(open_hub(place, now=NOW)) as db:
        told = Arrivals()
        told.add("salesforce", [Hint("deal", name) for name in ("z", "Z", "é", "数据")], events=4)
        told.refuse("asana", "signature")
        Inbox(db).store(told, NOW)
        Subscriptions(db).await_handshake("asana", "1", NOW)
        assert Subscriptions(db).keep_secret("asana", "1", "sealed", NOW)
        for subject in ("salesforce:deal:1", "run"):
            Approvals(db).ask(Question(subject, "digest", "Größe 数据", ["it's large"], {"a": [1]}), NOW, NOW + timedelta(days=3))
        Approvals(db).decide(1, "rejected", by="Mia", words="no", now=NOW)
        Tokens(db).add("mia", "approver", "secret", NOW)


def hub_rows(place: Place) -> Mapping[str, list[Any]]:
    with closing(open_hub(place, now=NOW)) as db:
        return {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in HUB_KEYS}  # noqa: S608


def birth(item: Item) -> Action:
    return Action("create", item, "asana", "s", "b", "deal.won", NOW, "rule", "why")


def rows(store: Store) -> Mapping[str, list[Any]]:
    return {table: sorted(map(repr, store.db.execute(f"SELECT * FROM {table}"))) for table in KEYS if table != "lease"}  # noqa: S608


def test_every_row_of_every_table_arrives(places: tuple[Place, Place]) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        told: list[tuple[str, int, int]] = []
        counts = copy(source, target, now=NOW, progress=lambda *step: told.append(step))
        assert rows(target) == rows(source)
        assert {table: counts[table] for table in rows(source)} == {table: len(found) for table, found in rows(source).items()}
        assert all(rows(source).values())
        assert [step for step in told if step[0] == "link"] == [("link", 1000, 1600), ("link", 600, 1600)]


def test_what_the_hub_knows_arrives_with_it_and_goes_on(places: tuple[Place, Place]) -> None:
    fill_hub(places[0])
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        counts = copy(source, target, now=NOW)
    assert hub_rows(places[1]) == hub_rows(places[0])
    assert counts.items() >= {table: len(found) for table, found in hub_rows(places[0]).items()}.items()
    assert all(counts.values())
    with closing(open_hub(places[1], now=NOW)) as db:
        assert [one.number for one in Approvals(db).waiting(NOW)] == [2]
        asked = Approvals(db).ask(Question("salesforce:deal:2", "d", "", [], {}), NOW, NOW + timedelta(days=1))
        assert asked.number == 3
        assert Subscriptions(db).get("asana", "1").sealed == "sealed"


def test_a_place_with_a_hub_of_its_own_is_left_as_it_is(places: tuple[Place, Place]) -> None:
    fill_hub(places[1])
    before = hub_rows(places[1])
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        with pytest.raises(StateError, match="is not empty"):
            copy(source, target, now=NOW)
        assert not any(rows(target).values())
    assert hub_rows(places[1]) == before


def test_where_what_the_hub_knows_arrives_otherwise_nothing_does(places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch) -> None:
    fill_hub(places[0])
    source, target = (Store(place, now=NOW) for place in places)
    carry = state.copy._carry

    def losing(ours: Any, theirs: Any, table: str, progress: Any) -> Any:
        content = carry(ours, theirs, table, progress)
        theirs.execute("DELETE FROM approval") if table == "approval" else None
        return content

    monkeypatch.setattr(state.copy, "_carry", losing)
    with source, target:
        fill(source)
        with pytest.raises(StateError, match="approval did not arrive"):
            copy(source, target, now=NOW)
        assert not any(rows(target).values())
    assert not any(hub_rows(places[1]).values())


def test_work_goes_on_where_it_arrived(places: tuple[Place, Place]) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        last = max(intent.seq for intent in Outbox(source).of_project("p"))
        copy(source, target, now=NOW)
        outbox = Outbox(target)
        outbox.decide(
            [birth(Item("q", "project", {"name": "q"}, "q", "")), birth(Item("p0000/Größe 数据 🎉", "task", {}, "p", "p"))], "run", NOW
        )
        (fresh,) = outbox.of_project("q")
        assert fresh.seq > last
        assert len(outbox.of_project("p")) == 1599
        target.note("run", [Note("later", "", "", "note", "")], NOW)
        assert target.audit(limit=1)[0]["source"] == "later"


def test_what_is_not_empty_is_left_as_it_is(places: tuple[Place, Place]) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        target.save_meta("mine", "1")
        before = rows(target)
        with pytest.raises(StateError, match="is not empty; copy to a new file, schema or database"):
            copy(source, target, now=NOW)
        assert rows(target) == before


def test_a_state_at_work_is_not_copied(places: tuple[Place, Place]) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        held = Leases(source, "worker").claim(["reader"], NOW)
        with pytest.raises(StateError, match=r"is at work \(reader\); stop every process"):
            copy(source, target, now=NOW)
        Leases(source, "worker").release(held)
        copy(source, target, now=NOW + timedelta(seconds=1))


def test_what_does_not_arrive_as_it_left_is_taken_back(places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        write = target.db.executemany
        monkeypatch.setattr(target.db, "executemany", lambda statement, some: write(statement, [spoilt(row) for row in some]))
        with pytest.raises(StateError, match=r"snapshot did not arrive .* as it left"):
            copy(source, target, now=NOW)
        assert not any(rows(target).values())


def spoilt(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple("E" if value == "é" else value for value in row)


def test_a_nul_is_the_one_thing_that_changes(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    with Store(tmp_path / "s.db", now=NOW) as source, Store(fresh_state(), now=NOW) as target:
        source.note("run", [Note("a\0b", "", "", "note", "x")], NOW)
        copy(source, target, now=NOW)
        assert target.audit()[0]["source"] == "a\ufffdb"
        assert verify(target).ok


def test_an_intent_in_doubt_stays_in_doubt(places: tuple[Place, Place]) -> None:
    source, target = (Store(place, now=NOW) for place in places)
    with source, target:
        fill(source)
        copy(source, target, now=NOW)
        open_: list[list[Intent]] = [Outbox(store).of_project("p") for store in (source, target)]
        assert open_[0] == open_[1]
        assert Outbox(target).counts()["in_doubt"] == 1
