"""`state` and the file itself: sound, copied, made small; and every way it may be unusable."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.flows.desk import Desk, wait_for

VERBS = (["plan"], ["sync"], ["status"], ["history"], ["retry"], ["explain", "x"], ["state", "verify"], ["state", "compact"])


def with_project(desk: Desk) -> None:
    deal = desk.world.deal("Big deal")
    desk.do("sync")
    desk.world.win(deal)
    desk.do("sync")


@contextmanager
def while_syncing(desk: Desk) -> Iterator[Popen[str]]:
    """Another process is in the middle of a sync."""
    deal = desk.world.deal()
    desk.do("sync")
    desk.world.win(deal)
    desk.world.tool.latency = 0.3
    desk.world.tool.seen.clear()
    process = desk.start("sync")
    wait_for(lambda: desk.world.tool.seen["POST /api/1.0/projects"] > 0)
    try:
        yield process
    finally:
        desk.world.tool.latency = 0
        process.communicate(timeout=30)


# looking after it


def test_a_sound_state_is_counted(desk: Desk) -> None:
    with_project(desk)
    found = desk.told("state", "verify")
    assert found["ok"]
    assert found["problems"] == []
    assert found["counts"]["link"] == 9


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DELETE FROM link WHERE kind = 'project'", "unknown"),
        ("UPDATE link SET remote_id = '1' WHERE kind = 'task'", "two keys"),
        ("DELETE FROM link WHERE kind = 'task'", "without a link"),
    ],
)
def test_tables_that_contradict_each_other_are_found(desk: Desk, harm: str, told: str) -> None:
    with_project(desk)
    with closing(sqlite3.connect(desk.state)) as db, db:
        db.execute(harm)
    done = desk.do("state", "verify")
    assert done.exit_code == 6
    assert told in done.output


def test_a_backup_made_while_a_sync_runs_is_private_sound_and_never_overwrites(desk: Desk) -> None:
    copy = desk.path / "copy.db"
    with while_syncing(desk) as process:
        done = desk.do("state", "backup", str(copy))
        assert process.poll() is None
    assert done.exit_code == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    assert desk.do("state", "verify", HANDOFF_STATE=str(copy)).exit_code == 0
    assert desk.told("status", HANDOFF_STATE=str(copy))["counts"]["open"] > 0
    before = copy.read_bytes()
    again = desk.do("state", "backup", str(copy))
    assert again.exit_code == 6
    assert "File exists" in again.stderr
    assert copy.read_bytes() == before


def test_a_backup_into_a_folder_that_is_not_there_says_so(desk: Desk) -> None:
    with_project(desk)
    done = desk.do("state", "backup", str(desk.path / "no" / "copy.db"))
    assert done.exit_code == 6
    assert "No such file or directory" in done.stderr


def test_compacting_keeps_what_prevents_a_second_birth(desk: Desk) -> None:
    with_project(desk)
    with closing(sqlite3.connect(desk.state)) as db, db:
        for table, column in (("audit", "at"), ("run", "started_at"), ("intent", "done_at")):
            db.execute(f"UPDATE {table} SET {column} = '2020-01-01T00:00:00.000000+00:00'")  # noqa: S608 - names from above
    assert desk.told("state", "compact", "--keep-days", "30")["rows"] > 0
    assert desk.told("history") == []
    assert desk.do("state", "verify").exit_code == 0
    assert desk.told("sync")["result"] == "nothing to do"
    assert desk.world.shown() == ["Big deal onboarding"]


def test_the_state_and_its_folder_are_for_their_owner_alone(desk: Desk) -> None:
    state = desk.path / "new" / "state.db"
    assert desk.do("sync", HANDOFF_STATE=str(state)).exit_code == 0
    assert state.stat().st_mode & 0o777 == 0o600
    assert state.parent.stat().st_mode & 0o777 == 0o700


# when it cannot be used


def _text(path: Path) -> None:
    path.write_text("not a database, but long enough to look at " * 100, encoding="utf-8")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        (table,) = db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%migrations'").fetchone()
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        known: dict[str, str | None] = {"id": None, "migration_set": "handoff", "name": "m999_of_tomorrow"}
        values = [known.get(name, "2030-01-01") for name in columns]
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - SQLite's own name


def _damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + b"\x55" * (len(raw) - 4096))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"), [(_text, "not a handoff state file"), (_newer, "newer version"), (_damaged, "restore a backup"), (_folder, "")]
)
def test_a_state_that_cannot_be_used_is_said_to_be_so_by_every_verb(desk: Desk, spoil: Callable[[Path], Any], told: str) -> None:
    with_project(desk)
    spoil(desk.state)
    before = desk.state.read_bytes() if desk.state.is_file() else b""
    for words in VERBS:
        done = desk.do(*words)
        assert done.exit_code == 6, (words, done.output)
        assert told in " ".join(done.stderr.split()), words
        assert isinstance(done.exception, SystemExit)
    assert before == (desk.state.read_bytes() if desk.state.is_file() else b"")


@pytest.mark.parametrize("words", [["status"], ["history"], ["explain", "x"], ["state", "verify"]])
def test_verbs_that_only_look_make_no_state_and_say_what_makes_one(desk: Desk, words: list[str]) -> None:
    done = desk.do(*words)
    assert done.exit_code == 6
    assert "handoff sync" in done.stderr
    assert not desk.state.exists()


def test_a_folder_that_cannot_be_written_is_named(desk: Desk) -> None:
    (desk.path / "file").write_text("", encoding="utf-8")
    done = desk.do("sync", HANDOFF_STATE=str(desk.path / "file" / "state.db"))
    assert done.exit_code == 6
    assert "--state" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(desk: Desk) -> None:
    closed = desk.path / "closed"
    closed.mkdir(mode=0o500)
    done = desk.do("sync", HANDOFF_STATE=str(closed / "state.db"))
    assert done.exit_code == 6
    assert "permissions" in done.stderr


def test_a_second_writer_is_told_which_process_is_at_work_and_lookers_are_not_in_the_way(desk: Desk) -> None:
    with while_syncing(desk) as process:
        for words in (["sync"], ["plan"], ["retry"], ["state", "compact"]):
            done = desk.do(*words)
            assert done.exit_code == 6
            assert f"process {process.pid} (handoff sync" in " ".join(done.stderr.split())
        assert desk.do("status").exit_code == 0
        assert "interrupted" in desk.told("status")["last_run"]
    assert process.returncode == 0
    assert desk.do("sync").exit_code == 0


def test_the_lock_of_a_killed_process_is_in_nobodys_way(desk: Desk) -> None:
    with while_syncing(desk) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert desk.do("status").exit_code == 0
    assert desk.do("sync", "--wait", "0").exit_code in {0, 1}
