"""The state file: all or nothing, guarded against other versions, full disks and the wrong file."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import StateError
from engine.model import WriteBack
from state import Note, Snapshot, Store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.db", now=NOW)


def write(store: Store, **fields: object) -> None:
    store.want_back("salesforce", [WriteBack("deal", "006", fields)], NOW)  # type: ignore[arg-type]


def fail_half_way(store: Store) -> None:
    with store.transaction():
        store.save_meta("a", "1")
        with store.transaction():
            store.save_cursor("salesforce", "deal", "c", NOW)
        raise RuntimeError


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        fail_half_way(store)
    assert (store.meta("a"), store.cursor("salesforce", "deal")) == (None, None)


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", now=NOW) as store, store.transaction():
        store.save_cursor("salesforce", "deal", "c", NOW)
    with Store(tmp_path / "s.db", now=NOW) as store:
        assert store.cursor("salesforce", "deal") == "c"


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


def test_a_reader_may_not_write(tmp_path: Path) -> None:
    Store(tmp_path / "s.db", now=NOW).close()
    with (
        Store(tmp_path / "s.db", now=NOW, read_only=True) as reader,
        pytest.raises(StateError, match="may not be written"),
        reader.transaction(),
    ):
        reader.save_meta("a", "1")


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


def test_snapshots_come_back_by_any_number_of_ids(store: Store) -> None:
    made = [Snapshot(f"{number:018}", "h", "{}", "001", modified_at="2026") for number in range(1200)]
    with store.transaction():
        store.save_snapshots("salesforce", "deal", made, NOW)
    assert store.snapshots("salesforce", "deal", [s.id for s in made]) == {s.id: s for s in made}
    assert len(store.of_customer("salesforce", "001")) == 1200
    assert store.count_snapshots() == {("salesforce", "deal"): 1200}


def test_a_record_is_found_by_its_short_id_too(store: Store) -> None:
    store.save_snapshots("salesforce", "deal", [Snapshot("006Hk0000000001IAA", "h", "{}")], NOW)
    for id_ in ("006Hk0000000001IAA", "006Hk0000000001"):
        assert store.find_record(id_) == [("salesforce", "deal", "006Hk0000000001IAA")]
    assert store.find_record("006Hk00000") == []


def test_equal_values_are_due_for_the_crm_only_once(store: Store) -> None:
    write(store, progress=10)
    (row,) = store.due_back("salesforce")
    store.settle_back("salesforce", row, "", park=False, now=NOW)
    write(store, progress=10)
    assert store.due_back("salesforce") == []
    write(store, progress=20)
    assert [row.fields for row in store.due_back("salesforce")] == [{"progress": 20}]


def test_a_parked_row_rests_until_there_is_something_else_to_say(store: Store) -> None:
    write(store, progress=10)
    (row,) = store.due_back("salesforce")
    store.settle_back("salesforce", row, "refused", park=True, now=NOW)
    write(store, progress=10)
    assert store.due_back("salesforce") == []
    assert store.parked_back()[0]["error"] == "refused"
    write(store, progress=20)
    assert len(store.due_back("salesforce")) == 1


def test_old_trails_go_and_what_stands_stays(store: Store) -> None:
    store.start_run("old", "sync", NOW - timedelta(days=90))
    store.end_run("old", "done", {}, NOW - timedelta(days=90))
    store.note("old", [Note("s", "", "", "note", "gone")], NOW - timedelta(days=90))
    store.note("new", [Note("s", "", "", "note", "stays")], NOW)
    store.save_snapshots("salesforce", "deal", [Snapshot("1", "h", "{}")], NOW - timedelta(days=90))
    assert store.forget_before(NOW - timedelta(days=30)) == 2
    assert [row["reason"] for row in store.audit(source="s")] == ["stays"]
    assert store.runs() == []
    assert store.snapshots("salesforce", "deal", ["1"])


def test_an_audit_is_read_newest_first_and_by_any_mark(store: Store) -> None:
    notes = [Note(source, "deal.won", "r", "acts", str(number), key="k" if number else "") for number, source in enumerate("aab")]
    store.note("run", notes, NOW)
    assert [row["reason"] for row in store.audit()] == ["2", "1", "0"]
    assert [row["reason"] for row in store.audit(source="a", key="k")] == ["1"]


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
