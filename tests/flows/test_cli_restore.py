"""`state restore`: yesterday's backup takes the state's place, and nothing that was done since is done again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from connectors.base import utc_now
from state.approvals import Approvals, Question
from state.hub import beside, open_hub
from state.restore import restore
from tests.flows.desk import Desk
from tests.flows.test_cli_state import while_syncing, with_project


def backup(desk: Desk) -> Path:
    to = desk.path / "backup.db"
    assert desk.do("state", "backup", str(to)).exit_code == 0
    return to


def test_what_was_made_since_the_backup_is_found_again(desk: Desk) -> None:
    late = desk.world.deal("Late deal")
    with_project(desk)
    yesterday = backup(desk)
    desk.world.win(late)
    desk.do("sync")
    shown = sorted(desk.world.shown())
    restored = desk.do("state", "restore", str(yesterday))
    assert restored.exit_code == 0
    assert "looks in the tools" in restored.output
    done = desk.told("sync")
    assert "older than its last use" in done["notes"][0]
    assert done["counts"]["adopted"] > 1
    assert sorted(desk.world.shown()) == shown
    assert desk.told("sync")["result"] == "nothing to do"


def test_what_stood_there_is_kept_and_can_be_put_back(desk: Desk) -> None:
    with_project(desk)
    yesterday = backup(desk)
    desk.world.win(desk.world.deal("Another"))
    desk.do("sync")
    kept = desk.told("state", "restore", str(yesterday))["kept"]
    assert desk.told("state", "verify")["counts"]["link"] < desk.told("state", "verify", "--state", kept)["counts"]["link"]
    assert desk.do("state", "restore", kept).exit_code == 0
    assert desk.told("sync")["result"] == "nothing to do"


def test_what_was_kept_within_a_second_is_kept_twice(desk: Desk) -> None:
    with_project(desk)
    yesterday, now = backup(desk), utc_now()
    first, second = (restore(yesterday, desk.state, now=now).kept[0] for _ in range(2))
    assert first != second
    assert desk.do("state", "verify", "--state", str(first)).exit_code == 0


def test_a_backup_that_is_not_sound_changes_nothing(desk: Desk) -> None:
    with_project(desk)
    yesterday = backup(desk)
    with closing(sqlite3.connect(yesterday)) as harmed:
        harmed.execute("DELETE FROM link WHERE kind = 'project'")
        harmed.commit()
    refused = desk.do("state", "restore", str(yesterday))
    assert refused.exit_code == 6
    assert "not sound" in refused.output
    assert desk.told("state", "verify")["ok"]


def test_a_damaged_state_is_replaced_and_kept_as_it_is(desk: Desk) -> None:
    with_project(desk)
    yesterday = backup(desk)
    with desk.state.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(4096))
    kept = Path(desk.told("state", "restore", str(yesterday))["kept"])
    assert kept.stat().st_size > 0
    assert desk.told("sync")["result"] == "nothing to do"


def test_a_state_in_use_is_left_alone(desk: Desk) -> None:
    yesterday = desk.path / "yesterday.db"
    desk.do("sync")
    desk.do("state", "backup", str(yesterday))
    with while_syncing(desk):
        refused = desk.do("state", "restore", str(yesterday))
    assert refused.exit_code == 6
    assert "in use by process" in refused.output


def test_an_address_on_a_server_is_told_what_to_do(desk: Desk) -> None:
    refused = desk.do("state", "restore", "x.db", HANDOFF_STATE="postgresql://me:geheim@localhost/handoff")
    assert refused.exit_code == 6
    assert "state copy" in refused.output
    assert "geheim" not in refused.output


# what the hub knows, in a file beside it


def ask(desk: Desk, subject: str) -> None:
    with closing(open_hub(desk.state, now=utc_now())) as db:
        Approvals(db).ask(Question(subject, "digest", subject, [], {}), utc_now(), utc_now() + timedelta(days=3))


def waiting(state: Path) -> list[str]:
    with closing(open_hub(state, now=utc_now())) as db:
        return [one.subject for one in Approvals(db).waiting(utc_now())]


def test_a_backup_takes_in_what_the_hub_knows(desk: Desk) -> None:
    with_project(desk)
    ask(desk, "a:deal:1")
    to = desk.path / "backup.db"
    told = desk.told("state", "backup", str(to))
    assert [one["file"] for one in told["files"]] == [str(to), str(desk.path / "backup.hub.db")]
    assert waiting(to) == ["a:deal:1"]
    assert (desk.path / "backup.hub.db").stat().st_mode & 0o777 == 0o600


def test_a_backup_overwrites_nothing_of_the_hubs_either(desk: Desk) -> None:
    with_project(desk)
    there = desk.path / "backup.hub.db"
    there.write_text("mine", encoding="utf-8")
    done = desk.do("state", "backup", str(desk.path / "backup.db"))
    assert done.exit_code == 6
    assert "File exists" in done.stderr
    assert there.read_text(encoding="utf-8") == "mine"
    assert not (desk.path / "backup.db").exists()


def test_a_backup_is_whole_or_not_at_all(desk: Desk) -> None:
    with_project(desk)
    beside(desk.state).write_text("no database at all", encoding="utf-8")
    assert desk.do("state", "backup", str(desk.path / "backup.db")).exit_code == 6
    assert not (desk.path / "backup.db").exists()


def test_what_the_hub_knows_by_now_stays(desk: Desk) -> None:
    with_project(desk)
    ask(desk, "a:deal:1")
    yesterday = backup(desk)
    ask(desk, "a:deal:2")
    assert desk.told("state", "restore", str(yesterday))["hub"] is False
    assert waiting(desk.state) == ["a:deal:1", "a:deal:2"]


def test_on_a_new_machine_what_the_hub_knew_comes_back(desk: Desk) -> None:
    with_project(desk)
    ask(desk, "a:deal:1")
    yesterday = backup(desk)
    new = desk.path / "new" / "state.db"
    done = desk.do("state", "restore", str(yesterday), HANDOFF_STATE=str(new))
    assert done.exit_code == 0
    assert "handoff webhooks renew" in done.output
    assert waiting(new) == ["a:deal:1"]
    assert beside(new).stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_of_the_hubs_is_replaced_and_kept(desk: Desk) -> None:
    with_project(desk)
    ask(desk, "a:deal:1")
    yesterday = backup(desk)
    beside(desk.state).write_bytes(b"\x55" * 9000)
    assert desk.told("state", "restore", str(yesterday))["hub"] is True
    assert waiting(desk.state) == ["a:deal:1"]
    (kept,) = desk.path.glob("state.hub.db.before-*")
    assert kept.read_bytes() == b"\x55" * 9000


def test_a_backup_whose_hub_is_not_sound_changes_nothing(desk: Desk) -> None:
    with_project(desk)
    ask(desk, "a:deal:1")
    yesterday = backup(desk)
    with closing(sqlite3.connect(beside(yesterday))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'approval'").fetchone()
    with beside(yesterday).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x55" * 4096)
    beside(desk.state).unlink()
    before = desk.state.read_bytes()
    assert desk.do("state", "restore", str(yesterday)).exit_code == 6
    assert (desk.state.read_bytes(), beside(desk.state).exists()) == (before, False)
