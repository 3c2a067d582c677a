"""A state that moves: every row arrives, on whichever engine, or nothing does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import StateError
from engine.model import Action, Item, WriteBack
from state import Intent, Leases, Note, Outbox, Outcome, Snapshot, Store
from state.care import verify
from state.copy import copy
from state.schema import KEYS

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
        assert counts == {table: len(found) for table, found in rows(source).items()}
        assert all(counts.values())
        assert [step for step in told if step[0] == "link"] == [("link", 1000, 1600), ("link", 600, 1600)]


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
