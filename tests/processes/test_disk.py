"""The disk is full, read-only, or the state file is gone from under a run: it stops and says so, and with room again it goes on, nothing twice."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disk
from tests.flows.desk import HANDOFF, Desk
from tests.processes.backfill import Picture, differences, rest, undisturbed, won_deals
from tests.processes.picture import picture
from tests.processes.test_copies import go_to
from tests.processes.watch import Watch

DEALS = 10


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), DEALS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for little."""
    with disk.small_disk(tmp_path / "disk", "512k") as place:
        yield place


def made_good(at: Desk, wanted: Picture) -> None:
    assert rest(at) == []
    assert differences(picture(at.world), wanted) == []


def test_a_disk_that_gets_full_stops_the_run_which_goes_on_with_room(small_disk: Path, wanted: Picture, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    with won_deals(tmp_path / "desk", DEALS) as at:
        at.env["HANDOFF_STATE"] = str(small_disk / "state.db")
        ballast.write_bytes(bytes(40_000))
        code, out, err = at.run("sync")
        assert code == 6, out + err
        assert "the disk is full; make room and run again" in out + err, out + err
        assert "Traceback" not in err
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)  # noqa: S607, S603
        made_good(at, wanted)


def test_a_file_that_may_not_grow_stops_the_run_which_goes_on_with_room(wanted: Picture, tmp_path: Path) -> None:
    """As a disk quota does it; asks for no rights."""
    with won_deals(tmp_path, DEALS) as at:

        def little_room() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        words = [str(HANDOFF), "sync", "-C", str(at.folder)]
        done = subprocess.run(words, env=at.env, capture_output=True, text=True, check=False, preexec_fn=little_room, timeout=60)  # noqa: S603
        assert done.returncode == 6, done.stdout + done.stderr
        assert "disk" in done.stdout + done.stderr, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        made_good(at, wanted)


def test_a_folder_that_may_not_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with won_deals(tmp_path / "desk", 2) as at:
        folder = Path("/proc/self/nothing-is-written-here") if os.geteuid() == 0 else tmp_path / "locked"
        if os.geteuid() != 0:
            folder.mkdir(mode=0o500)
        code, _, err = at.run("sync", HANDOFF_STATE=str(folder / "state.db"))
        assert code == 6
        assert "cannot write" in err
        assert not at.world.tool.seen
        assert not at.world.crm.seen


def test_a_state_file_deleted_in_the_middle_of_a_run_makes_nothing_twice(wanted: Picture, tmp_path: Path) -> None:
    with won_deals(tmp_path, DEALS) as at:
        process = at.start("sync")
        go_to(process, Watch([at.world.crm, at.world.tool]), 40, signal.SIGSTOP)
        for end in ("", "-wal", "-shm"):
            at.state.with_name(at.state.name + end).unlink()
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert process.returncode in {0, 6}, out + err
        assert "Traceback" not in err
        made_good(at, wanted)
