"""Ctrl-C and `kill` in the middle of a sync, and secrets: neither leaves traces."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from connectors.salesforce.auth import store_secret
from tests.flows.desk import SECRET, TOKEN, Desk, local, soon_settled, wait_for

TASKS = {"Kick off": 1, "Scope": 1, "Done": 1, "Agenda": 1}


def eight_won(desk: Desk) -> None:
    deals = [desk.world.deal(f"Deal {number}") for number in range(8)]
    desk.do("sync")
    for deal in deals:
        desk.world.win(deal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_sync_ends_it_soon_and_the_next_completes_it(desk: Desk, number: signal.Signals) -> None:
    eight_won(desk)
    desk.world.tool.latency = 0.2
    process = desk.start("sync")
    wait_for(lambda: desk.world.tool.seen["POST /api/1.0/batch"] > 0)
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert time.monotonic() - sent < 10
    assert "stopped" in out
    assert "Traceback" not in err
    desk.world.tool.latency = 0
    assert desk.told("status")["counts"]["in_doubt"] == 0
    assert desk.told("history")[0]["result"] == "stopped"
    assert len(desk.world.shown()) < 8
    assert desk.do("sync").exit_code == 0
    assert sorted(desk.world.shown()) == [f"Deal {deal} onboarding" for deal in range(8)]
    for project in desk.world.projects():
        assert sum(desk.world.tasks(project).values()) == 4


HANGS = {
    "pulling": ("crm", "GET /services/data/.*/query"),
    "making": ("tool", "POST /api/1.0/projects$"),
    "publishing": ("tool", "PUT /api/1.0/projects/"),
    "writing back": ("crm", "PATCH /services/data/.*/composite"),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("stage", HANGS)
def test_a_signal_is_heeded_even_when_an_answer_hangs_and_the_next_run_goes_on(desk: Desk, stage: str, number: signal.Signals) -> None:
    desk.world.configure(soon_settled())
    eight_won(desk)
    system, route = HANGS[stage]
    sandbox = desk.world.crm if system == "crm" else desk.world.tool
    hangs = sandbox.fault(route, "slow", times=-1, seconds=25)
    process = desk.start("sync")
    wait_for(lambda: hangs.struck > 0)
    assert soon_after(process, number) == 130
    assert desk.told("history")[0]["result"] == "stopped"
    sandbox.faults.clear()
    complete(desk)


def test_a_signal_is_heeded_while_it_waits_as_a_rate_limit_asks(desk: Desk) -> None:
    desk.world.configure(soon_settled())
    eight_won(desk)
    limited = desk.world.tool.fault("POST /api/1.0/projects$", "error_before", times=-1, status=429)
    process = desk.start("sync")
    wait_for(lambda: limited.struck > 8)
    assert soon_after(process, signal.SIGTERM) == 130
    desk.world.tool.faults.clear()
    complete(desk)


def soon_after(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """How a process ends that got a signal, without a traceback and within ten seconds."""
    process.send_signal(number)
    sent = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - sent < 10
    assert "Traceback" not in err
    return process.returncode


def complete(desk: Desk) -> None:
    """What was stopped is brought to its end, once."""
    done = desk.do("sync")
    assert done.exit_code in {0, 1}, done.output
    assert desk.do("sync", "--wait", "90").exit_code == 0
    assert sorted(desk.world.shown()) == [f"Deal {deal} onboarding" for deal in range(8)]
    assert all(row["Handoff_Status__c"] for row in desk.world.org.rows("Opportunity"))


def test_a_second_signal_ends_it_at_once(desk: Desk) -> None:
    eight_won(desk)
    fault = desk.world.tool.fault("POST /api/1.0/projects$", "slow", times=-1, seconds=25)
    process = desk.start("sync")
    wait_for(lambda: fault.struck > 0)
    process.send_signal(signal.SIGINT)
    assert "press again" in str(process.stderr.readline()) if process.stderr else False
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - sent < 3
    assert "Traceback" not in err


# secrets


def everything_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_secret_is_in_any_output_error_log_or_file(desk: Desk) -> None:
    eight_won(desk)
    temporary = desk.path / "temporary"
    temporary.mkdir()
    written = []
    for word, broken in (("plan", {}), ("sync", {"TOKEN": f"{TOKEN}-stale"}), ("sync", {}), ("sync", {"SECRET": f"{SECRET}-stale"})):
        code, out, err = desk.run(word, HANDOFF_LOG="debug", TMPDIR=str(temporary), **broken)
        assert code == (4 if broken else 0), err
        written.append(out + err)
    written += [desk.do(*words).output for words in (["check"], ["status"], ["history"], ["state", "verify"])]
    assert not list(temporary.iterdir())
    files = everything_under(desk.path).decode("utf-8", "replace")
    for marker in (SECRET, TOKEN, *desk.world.org.tokens):
        assert marker not in "".join(written)
        assert marker not in files


def test_a_rotated_refresh_token_is_kept_in_its_private_file_and_nowhere_else(desk: Desk) -> None:
    first = "5Aep861-first"
    keep = desk.path / "kept" / "refresh"
    keep.parent.mkdir()
    store_secret(keep, first)
    desk.world.sf.oauth.rotate = True
    mapping = local({})["mappings/salesforce.yaml"].replace(
        "  login_url", f"  auth: refresh_token\n  refresh_token: ${{FIRST}}\n  refresh_token_file: {keep}\n  login_url"
    )
    desk.world.configure(local({"mappings/salesforce.yaml": mapping}))
    outputs = [desk.run(verb, FIRST=first, HANDOFF_LOG="debug") for verb in ("check", "sync")]
    assert [code for code, _, _ in outputs] == [0, 0]
    now = keep.read_text(encoding="utf-8")
    assert now in desk.world.sf.oauth.refresh_tokens
    assert now != first
    assert keep.stat().st_mode & 0o777 == 0o600
    keep.unlink()
    told = str(outputs) + everything_under(desk.path).decode("utf-8", "replace")
    assert first not in told
    assert now not in told
