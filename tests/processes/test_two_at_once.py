"""Two processes are started together, as when a timer meets a person: nothing is made twice, and each is told where it stands."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.processes.backfill import Picture, differences, rest, undisturbed, won_deals
from tests.processes.picture import picture

DEALS = 12


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_of_two_with_one_file_one_runs_and_the_other_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    wanted = undisturbed(tmp_path / "undisturbed", DEALS)
    with won_deals(tmp_path / "two", DEALS) as at:
        at.world.tool.latency = 0.05
        two = [at.start("sync") for _ in range(2)]
        assert sorted(ended(process)[0] for process in two) == [0, 6]
        assert at.told("sync")["result"] == "nothing to do"
        assert differences(picture(at.world), wanted) == []


def test_the_refused_one_names_the_process_that_has_it_at_once(tmp_path: Path) -> None:
    with won_deals(tmp_path, 2) as at:
        at.world.crm.latency = 0.5
        first = at.start("sync")
        while not (at.state.with_name("state.db.lock").exists() and at.state.with_name("state.db.lock").read_text()):
            assert first.poll() is None
        code, _, err = ended(at.start("sync"))
        assert code == 6
        assert f"in use by process {first.pid} (handoff sync" in err
        assert first.poll() is None
        at.world.crm.latency = 0
        assert ended(first)[0] == 0


def test_two_on_a_server_share_the_work(tmp_path: Path, fresh_state: Callable[[], str]) -> None:
    wanted: Picture = undisturbed(tmp_path / "undisturbed", DEALS)
    with won_deals(tmp_path / "two", DEALS, fresh_state()) as at:
        at.world.tool.latency = 0.05
        two = [at.start("sync") for _ in range(2)]
        for code, out, err in map(ended, two):
            assert code in {0, 1}, out + err
        assert rest(at) == []
        assert differences(picture(at.world), wanted) == []
