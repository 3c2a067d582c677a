"""`state restore`: yesterday's backup takes the state's place, and nothing that was done since is done again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

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
