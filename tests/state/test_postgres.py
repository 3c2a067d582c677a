"""The state on a PostgreSQL server: lost connections, several processes, other people's tables, and no secret in any message."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from connectors.base import StateError, Transient
from engine.model import Action, Item
from state import Note, Outbox, Store
from state.care import backup

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FreshState = Callable[[], str]
needs_psycopg = pytest.mark.skipif(find_spec("psycopg") is None, reason="no psycopg here")


@pytest.fixture
def url(fresh_state: FreshState) -> str:
    return fresh_state()


def cut_off(store: Store) -> None:
    """Somebody ends its connection."""
    (number,) = store.db.execute("SELECT pg_backend_pid()").fetchone()
    with Store(store.db.name, now=NOW) as other:
        other.db.execute("SELECT pg_terminate_backend(?)", (number,))
        while other.db.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ?", (number,)).fetchone()[0]:
            pass


def write_around(store: Store, *, after: bool) -> None:
    """A transaction that is cut off before its end."""
    with store.transaction():
        store.save_meta("first", "1")
        cut_off(store)
        if after:
            store.save_meta("second", "1")


def write_on(store: Store) -> None:
    """A transaction that goes on after it was cut off."""
    with store.transaction():
        cut_off(store)
        with pytest.raises(Transient):
            store.save_meta("first", "1")
        store.save_meta("second", "1")


@pytest.mark.parametrize("cut", [partial(write_around, after=True), partial(write_around, after=False), write_on])
def test_a_connection_that_is_lost_undoes_the_transaction_and_the_next_use_opens_another(cut: Callable[[Store], None], url: str) -> None:
    with Store(url, now=NOW) as store:
        with pytest.raises(Transient, match="connection to the database was lost; nothing is half-done, run again"):
            cut(store)
        assert [store.meta(key) for key in ("first", "second")] == [None, None]
        store.save_meta("first", "2")
        assert store.meta("first") == "2"


@needs_psycopg
def test_a_server_that_cannot_be_reached_is_away_for_now() -> None:
    with pytest.raises(Transient, match=r"postgresql://someone:\*\*\*@127\.0\.0\.1:1/state cannot be reached") as told:
        Store("postgresql://someone:geheim@127.0.0.1:1/state", now=NOW)
    assert "geheim" not in str(told.value)


@pytest.mark.parametrize("address", ["postgresql://u:geheim@h/x?geheim=1", "postgresql://u:ge%zzheim@h/x"])
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(StateError, match="it looks like postgresql://user:password@host:5432/database") as told:
        Store(address, now=NOW)
    assert "heim" not in str(told.value)


def test_a_database_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(StateError, match='database "other" does not exist; check the address'):
        Store(url.replace("/postgres?", "/other?"), now=NOW)


def test_a_schema_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(StateError, match="schema of its search_path is not there"):
        Store(url.replace("state_", "nowhere_"), now=NOW)


def test_somebody_elses_tables_are_left_as_they_are(url: str, fresh_state: FreshState) -> None:
    elsewhere = fresh_state()
    schema = url.rpartition("%3D")[2]
    with Store(elsewhere, now=NOW) as other:
        other.db.execute(f"CREATE TABLE {schema}.link (url TEXT)")
        with pytest.raises(StateError, match=r"somebody else's tables \(link\)"):
            Store(url, now=NOW)
        tables = other.db.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (schema,)).fetchall()
    assert tables == [("link",)]


@pytest.mark.parametrize("read_only", [False, True])
def test_an_older_program_refuses_newer_tables(read_only: bool, url: str) -> None:
    with Store(url, now=NOW) as store:
        store.db.execute("INSERT INTO handoff_migration VALUES ('m999_of_the_future', 'later')")
    with pytest.raises(StateError, match=r"newer version of handoff \(m999_of_the_future\); update the program"):
        Store(url, now=NOW, read_only=read_only)


def test_older_tables_are_brought_up_to_date_but_not_by_those_who_only_look(url: str) -> None:
    with Store(url, now=NOW) as store:
        store.save_meta("kept", "1")
        store.db.execute("DROP TABLE lease")
        store.db.execute("DELETE FROM handoff_migration WHERE name = 'm002_leases'")
    with pytest.raises(StateError, match="not set up for this version yet; run `handoff sync` first"):
        Store(url, now=NOW, read_only=True)
    with Store(url, now=NOW, existing=True) as store:
        assert store.db.execute("SELECT count(*) FROM lease").fetchone() == (0,)
        assert store.meta("kept") == "1"


def test_those_who_start_at_once_set_it_up_once(url: str) -> None:
    opened: list[Store] = []
    starters = [threading.Thread(target=lambda: opened.append(Store(url, now=NOW))) for _ in range(6)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(opened) == 6
    assert opened[0].db.execute("SELECT count(*) FROM handoff_migration").fetchone()[0] > 0
    for store in opened:
        store.close()


def test_two_who_decide_about_one_key_at_the_same_time_let_it_be_born_once(url: str) -> None:
    with Store(url, now=NOW) as one, Store(url, now=NOW) as two:
        done = threading.Event()

        def second() -> None:
            Outbox(two).decide([birth("two")], "run", NOW)
            done.set()

        with one.transaction():
            Outbox(one).decide([birth("one")], "run", NOW)
            thread = threading.Thread(target=second)
            thread.start()
            assert not done.wait(0.2)  # it waits for what the first one makes of it
        thread.join()
        assert [intent.why for intent in Outbox(one).of_project("p")] == ["one"]
        assert Outbox(two).links(["p"])["p"].why == "one"


def birth(why: str) -> Action:
    return Action("create", Item("p", "project", {"name": "P"}, "p", ""), "asana", "s", "b", "deal.won", NOW, "rule", why)


def test_many_rows_are_written_all_or_none(url: str) -> None:
    with Store(url, now=NOW) as store:
        bad = [Note("s", "", "", "note", "fine"), Note("s", "", "", "note", None)]  # type: ignore[arg-type]
        with pytest.raises(Exception, match="null value"):
            store.note("run", bad, NOW)
        assert store.audit() == []


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "state.postgres", None)
    with pytest.raises(StateError, match=r"needs psycopg: pip install"):
        Store("postgresql://u@h/x", now=NOW)


def test_a_backup_of_a_server_is_its_own_business(url: str, tmp_path: Path) -> None:
    with Store(url, now=NOW) as store, pytest.raises(StateError, match="pg_dump"):
        backup(store, tmp_path / "copy.db", NOW)
    assert not (tmp_path / "copy.db").exists()
