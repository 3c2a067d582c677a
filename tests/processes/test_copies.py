"""The state file is put back as it was: after a power cut, from a copy of a running system, from last night's backup. Nothing is made twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.desk import Desk
from tests.processes.backfill import Picture, differences, rest, undisturbed, won_deals
from tests.processes.picture import picture
from tests.processes.watch import Moment, Watch

DEALS = 8
Copy = Callable[[Desk, Path], None]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), DEALS)


def by_hand(at: Desk, to: Path) -> None:
    """The file and its log, as a copy of the disk at one moment has them."""
    for end in ("", "-wal"):
        source = at.state.with_name(at.state.name + end)
        if source.exists():
            shutil.copy(source, to.with_name(to.name + end))


def by_command(at: Desk, to: Path) -> None:
    assert at.do("state", "backup", str(to)).exit_code == 0


def put_back(at: Desk, copy: Path) -> None:
    for end in ("", "-wal", "-shm"):
        there, here = at.state.with_name(at.state.name + end), copy.with_name(copy.name + end)
        there.unlink(missing_ok=True)
        if here.exists():
            shutil.copy(here, there)


def go_to(process: subprocess.Popen[str], watch: Watch, request: int, number: signal.Signals) -> None:
    """Let a process run to its n-th request from now, and send it a signal there."""
    reached = threading.Event()

    def strike() -> None:
        os.kill(process.pid, number)
        reached.set()

    watch.arm(Moment(request, "", "answered", 0), strike)
    assert reached.wait(30), "it ended before"


@pytest.mark.parametrize("copy", [by_hand, by_command])
@pytest.mark.parametrize("request_", [pytest.param(8, marks=pytest.mark.nightly), 30, pytest.param(55, marks=pytest.mark.nightly)])
def test_a_copy_from_the_middle_of_a_run_put_back_after_more_was_done_makes_nothing_twice(
    copy: Copy, request_: int, wanted: Picture, tmp_path: Path
) -> None:
    with won_deals(tmp_path, DEALS) as at:
        watch, saved = Watch([at.world.crm, at.world.tool]), tmp_path / "saved.db"
        process = at.start("sync")
        go_to(process, watch, request_, signal.SIGSTOP)
        copy(at, saved)
        process.send_signal(signal.SIGCONT)
        go_to(process, watch, 15, signal.SIGKILL)
        process.communicate()
        put_back(at, saved)
        _, out, err = at.run("sync")
        assert "the state may be old: it is older than its last use" in out, out + err
        assert rest(at) == []
        assert differences(picture(at.world), wanted) == []


@pytest.mark.parametrize("request_", [3, 40])
def test_a_power_cut_leaves_a_disk_from_which_the_run_goes_on(request_: int, wanted: Picture, tmp_path: Path) -> None:
    with won_deals(tmp_path, DEALS) as at:
        watch, saved = Watch([at.world.crm, at.world.tool]), tmp_path / "saved.db"
        process = at.start("sync")
        go_to(process, watch, request_, signal.SIGSTOP)
        by_hand(at, saved)
        process.kill()
        process.communicate()
        put_back(at, saved)
        assert rest(at) == []
        assert differences(picture(at.world), wanted) == []


def a_day_of_work(at: Desk, early: str, late: str, fresh: str) -> None:
    """New projects, changes of one that stood, comments, a status, and what the CRM was told; and people at work in the tool."""
    world = at.world
    world.win(late)
    assert at.do("sync").exit_code == 0
    world.change(early, Amount=9000, NextStep="Call")
    world.win(fresh)
    assert at.do("sync").exit_code == 0
    world.change(late, StageName="Prospecting", Name="Later deal")
    assert at.do("sync").exit_code == 0
    first, *_ = world.projects()
    world.board.edit_task(world.task("Scope", first)["gid"], {"name": "Scope, with Ada"}, world.person)
    world.board.complete_task(world.task("Agenda", first)["gid"], world.person)
    world.board.comment(world.task("Kick off Early deal", first)["gid"], "On my way", world.person)
    assert at.do("sync").exit_code == 0


def everything(at: Desk) -> tuple[object, ...]:
    """All that must not change by putting a backup back."""
    board = at.world.board
    things = (board.projects, board.sections, board.tasks, board.stories, board.status_updates)
    comments = [story["text"] for story in board.stories.values() if story["resource_subtype"] == "comment_added"]
    return (picture(at.world), [len(each) for each in things if each is not board.stories], sorted(comments))


def by_restoring(at: Desk, copy: Path) -> None:
    done = at.do("state", "restore", str(copy))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("copy", "back"), [(by_hand, put_back), (by_command, by_restoring)])
def test_last_nights_backup_put_back_finds_a_day_of_work_again_and_peoples_edits_stand(copy: Copy, back: Copy, desk: Desk) -> None:
    early, late, fresh = (desk.world.deal(name) for name in ("Early deal", "Late deal", "Fresh deal"))
    desk.do("sync")
    desk.world.win(early)
    assert desk.do("sync").exit_code == 0
    backup = desk.path / "last-night.db"
    copy(desk, backup)
    a_day_of_work(desk, early, late, fresh)
    before = everything(desk)
    back(desk, backup)
    done = desk.told("sync")
    assert "it is older than its last use" in done["notes"][0]
    assert done["counts"]["adopted"] > 5
    assert rest(desk) == []
    assert everything(desk) == before
    desk.world.win(late)
    assert desk.do("sync").exit_code == 0
    assert len(desk.world.projects()) == 3
