"""One writer at a time, and a lock that dies with whoever held it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import StateError
from state import Store
from state.lock import Lock

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def test_the_second_comer_is_told_who_holds_the_state(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", now=NOW):
        with pytest.raises(StateError, match=rf"in use by process {os.getpid()} .*since 2026-03-02 09:00:00 UTC.*wait for it to end"):
            Store(tmp_path / "s.db", now=NOW)
        with Store(tmp_path / "s.db", now=NOW, read_only=True) as reader:
            assert reader.meta("x") is None
    Store(tmp_path / "s.db", now=NOW).close()


OPEN = "import os, sys; from datetime import *; from pathlib import Path; from state import Store; Store(Path(sys.argv[1]), now=datetime.now(UTC))"


def elsewhere(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """What another process makes of the state at `path`."""
    return subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603


def test_a_process_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    assert elsewhere(f"{OPEN}; os._exit(9)", tmp_path / "s.db").returncode == 9
    Store(tmp_path / "s.db", now=NOW).close()


def test_another_process_is_kept_out_as_well(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", now=NOW):
        assert "the state is in use by process" in elsewhere(OPEN, tmp_path / "s.db").stderr


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
        Lock(tmp_path / "nowhere" / "x.lock", now=NOW)


def test_a_store_that_fails_to_open_lets_go_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("this is no database, but long enough to be looked at as one " * 20)
    for _ in range(2):
        with pytest.raises(StateError, match="not a handoff state file"):
            Store(tmp_path / "s.db", now=NOW)
