"""The state as a file: its owner's alone, guarded against other versions, full disks and the wrong file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import StateError
from engine.model import Action, Item
from state import Note, Outbox, Store
from state.care import verify

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.db", now=NOW) as opened:
        yield opened


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "deep" / "s.db", now=NOW).close()
    assert (tmp_path / "deep" / "s.db").stat().st_mode & 0o077 == 0


def test_an_older_program_refuses_a_newer_file_and_leaves_it(tmp_path: Path) -> None:
    Store(tmp_path / "s.db", now=NOW).close()
    db = sqlite3.connect(tmp_path / "s.db")
    db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('handoff', 'm999_of_the_future', 'later')")
    db.commit()
    before = list(db.iterdump())
    for read_only in (False, True):
        with pytest.raises(StateError, match=r"newer version of handoff \(m999_of_the_future\); update the program"):
            Store(tmp_path / "s.db", now=NOW, read_only=read_only)
    assert list(db.iterdump()) == before
    db.close()


def test_reading_alone_needs_a_file_that_is_there_and_set_up(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"no state at .* yet; run `handoff sync` first"):
        Store(tmp_path / "s.db", now=NOW, read_only=True)
    (tmp_path / "s.db").touch()
    with pytest.raises(StateError, match="not set up yet"):
        Store(tmp_path / "s.db", now=NOW, read_only=True)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"cannot write .*; check the folder's permissions"):
        Store(tmp_path / "file" / "s.db", now=NOW)


def write_much(store: Store) -> None:
    with store.transaction():
        store.save_meta("first", "1")
        store.note("run", [Note("", "", "", "note", "x" * 5000) for _ in range(20)], NOW)


def test_a_full_disk_undoes_the_whole_transaction(store: Store) -> None:
    store.db.execute(f"PRAGMA max_page_count = {store.db.execute('PRAGMA page_count').fetchone()[0] + 2}")
    with pytest.raises(StateError, match="the disk is full; make room"):
        write_much(store)
    assert store.meta("first") is None


@pytest.mark.parametrize("content", [b"dear diary", b"SQLite format 4\x00 almost"])
def test_a_file_that_is_not_ours_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(StateError, match="not a handoff state file"):
        Store(path, now=NOW)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["diary.txt"]


def test_somebody_elses_database_gets_no_tables_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER)")
    shop.close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="somebody else's database"):
        Store(path, now=NOW)
    assert path.read_bytes() == before


def test_a_folder_is_no_state_file(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is a folder"):
        Store(tmp_path, now=NOW)


def test_a_full_disk_leaves_no_decision_half_recorded(store: Store) -> None:
    store.db.execute(f"PRAGMA max_page_count = {store.db.execute('PRAGMA page_count').fetchone()[0] + 4}")
    item = Item("p", "project", {"notes": "x" * 2000}, "p", "")
    actions = [Action("create", replace(item, key=f"p/{n}"), "asana", "s", "b", "deal.won", NOW, "rule", "why") for n in range(20)]
    with pytest.raises(StateError, match="the disk is full"), store.transaction():
        Outbox(store).decide(actions, "run", NOW)
    assert Outbox(store).counts()["open"] == 0
    assert verify(store).ok
    store.db.execute("PRAGMA max_page_count = 100000")
    with store.transaction():
        Outbox(store).decide(actions, "run", NOW)
    assert Outbox(store).counts()["open"] == 20
