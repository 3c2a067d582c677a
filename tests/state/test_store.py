"""What the store promises, on either engine: all or nothing, and everything comes back as it went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import StateError
from engine.model import WriteBack
from state import Note, Snapshot, Store
from state.care import compact, verify
from state.codec import stamp
from state.schema import KEYS

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


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


def fail_inside(store: Store) -> None:
    with store.transaction():
        store.save_meta("inner", "1")
        raise RuntimeError


def test_an_inner_transaction_that_fails_and_is_forgiven_is_undone_alone(store: Store) -> None:
    with store.transaction():
        store.save_meta("before", "1")
        with pytest.raises(RuntimeError):
            fail_inside(store)
        store.save_meta("after", "1")
    assert [store.meta(key) for key in ("before", "inner", "after")] == ["1", None, "1"]


def test_what_was_committed_is_there_for_the_next_process(place: Path | str) -> None:
    with Store(place, now=NOW) as store, store.transaction():
        store.save_cursor("salesforce", "deal", "c", NOW)
    with Store(place, now=NOW) as store:
        assert store.cursor("salesforce", "deal") == "c"


def test_a_reader_may_not_write(place: Path | str) -> None:
    Store(place, now=NOW).close()
    with Store(place, now=NOW, read_only=True) as reader:
        assert reader.meta("a") is None
        with pytest.raises(StateError, match="may not be written"), reader.transaction():
            reader.save_meta("a", "1")


@pytest.mark.parametrize("how", ["read_only", "existing"])
def test_a_state_that_is_not_there_is_not_made_by_those_who_look(how: str, place: Path | str) -> None:
    for _ in range(2):
        with pytest.raises(StateError, match=r"no state .* yet; run `handoff sync` first"):
            Store(place, now=NOW, **{how: True})
    Store(place, now=NOW).close()
    Store(place, now=NOW, **{how: True}).close()


@pytest.mark.parametrize(
    "text", ["Größe 数据 🎉", "two\nlines\ttab", 'it\'s 100 % "sure" \\ ? %s', "a\u200db\u0301", "\x01\x7f", "x" * 100_000]
)
def test_any_text_comes_back_as_it_went_in(text: str, store: Store) -> None:
    store.save_snapshots("salesforce", "deal", [Snapshot(text, "h", "{}", customer=text)], NOW)
    store.note("run", [Note(text, "", "", "note", text, detail={"seen": text})], NOW)
    assert store.of_customer("salesforce", text) == [text]
    assert store.audit(source=text)[0]["detail"] == {"seen": text}


def test_a_nul_in_a_name_stops_nothing_and_is_whole_in_json(store: Store) -> None:
    write(store, name="a\0b")
    store.note("run", [Note("s", "", "", "note", "because of \0", detail={"name": "a\0b"})], NOW)
    assert store.due_back("salesforce")[0].fields == {"name": "a\0b"}
    assert store.audit()[0]["detail"] == {"name": "a\0b"}
    assert store.audit()[0]["reason"].startswith("because of ")


def test_rows_are_written_over_as_a_whole(store: Store) -> None:
    store.save_snapshots("salesforce", "deal", [Snapshot("1", "h", "{}", "001", deleted=True, merged_into="2")], NOW)
    store.save_snapshots("salesforce", "deal", [Snapshot("1", "i", "[]")], NOW)
    assert store.snapshots("salesforce", "deal", ["1"]) == {"1": Snapshot("1", "i", "[]")}
    store.save_recheck("salesforce", "deal", {"1": "first", "2": "other"}, NOW)
    store.save_recheck("salesforce", "deal", {"1": "second"}, NOW)
    store.clear_recheck("salesforce", "deal", ["2"])
    assert store.recheck("salesforce", "deal") == {"1": "second"}
    for value in ("1", "2"):
        store.save_meta("key", value)
        store.save_cursor("salesforce", "deal", value, NOW)
    assert (store.meta("key"), store.cursor("salesforce", "deal")) == ("2", "2")


def test_runs_are_told_newest_first_with_what_came_of_them(store: Store) -> None:
    store.start_run("one", "sync", NOW)
    store.start_run("two", "sync", NOW + timedelta(minutes=1))
    store.end_run("one", "done", {"created": 2}, NOW, digest="d", error="e" * 3000)
    newer, older = store.runs()
    assert (newer.id, newer.ended_at, older.counts, len(older.error)) == ("two", None, {"created": 2}, 2000)


def test_refused_write_backs_are_tried_again_when_asked(store: Store) -> None:
    write(store, progress=10)
    store.settle_back("salesforce", store.due_back("salesforce")[0], "refused", park=True, now=NOW)
    assert (store.retry_back(), store.retry_back()) == (1, 0)
    assert len(store.due_back("salesforce")) == 1


def test_the_tables_are_all_known_by_name(store: Store) -> None:
    catalogue = {
        Path: "sqlite_master WHERE type = 'table'",
        str: "(SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()) AS t",
    }
    kind = Path if hasattr(store.db, "path") else str
    names = {row[0] for row in store.db.execute(f"SELECT name FROM {catalogue[kind]}")}  # noqa: S608 - from above
    assert names - {"_sqlite_migrations", "handoff_migration"} == set(KEYS)


def test_a_sound_state_is_found_sound_and_made_small(store: Store) -> None:
    store.note("old", [Note("s", "", "", "note", "gone" * 100) for _ in range(3000)], NOW - timedelta(days=90))
    assert verify(store).ok
    gone, before, after = compact(store, keep_days=30, now=NOW)
    assert gone == 3000
    assert after < before


def test_snapshots_come_back_by_any_number_of_ids(store: Store) -> None:
    made = [Snapshot(f"{number:018}", "h", "{}", "001", modified_at="2026") for number in range(10_000)]
    with store.transaction():
        store.save_snapshots("salesforce", "deal", made, NOW)
    assert store.snapshots("salesforce", "deal", [s.id for s in made]) == {s.id: s for s in made}
    assert len(store.of_customer("salesforce", "001")) == 10_000
    assert store.count_snapshots() == {("salesforce", "deal"): 10_000}


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


def test_old_trails_may_go_a_few_at_a_time(store: Store) -> None:
    store.note("old", [Note("s", "", "", "note", str(number)) for number in range(5)], NOW - timedelta(days=90))
    assert [store.forget_before(NOW, most=2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_notice_that_was_sent_loses_its_words_and_keeps_its_key(store: Store) -> None:
    for key, state in (("sent", "sent"), ("due", "due")):
        columns = "key, channel, source, rule, text, state, at, due_at"
        values = (key, "mail", "s", "r", "words", state, stamp(NOW - timedelta(days=90)), "")
        store.db.execute(f"INSERT INTO notice ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - names from above
    assert store.forget_before(NOW) == 1
    assert store.db.execute("SELECT key, text FROM notice ORDER BY key").fetchall() == [("due", "words"), ("sent", "")]


def test_an_audit_is_read_newest_first_and_by_any_mark(store: Store) -> None:
    notes = [Note(source, "deal.won", "r", "acts", str(number), key="k" if number else "") for number, source in enumerate("aab")]
    store.note("run", notes, NOW)
    assert [row["reason"] for row in store.audit()] == ["2", "1", "0"]
    assert [row["reason"] for row in store.audit(source="a", key="k")] == ["1"]
