"""What the Prefect server and its runs are told by their environment, as Prefect understands it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.settings import Settings as Understood

from flows.service import quiet_settings, server_settings
from flows.settings import Settings


@pytest.fixture
def understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Understood:
    where = Settings(tmp_path, tmp_path / "state" / "handoff.db", {})
    told = {**quiet_settings(where), **server_settings(where, url="http://127.0.0.1:4200", days=30)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return Understood()


def test_telemetry_and_the_second_ui_are_off(understood: Understood) -> None:
    server = understood.server
    on = (server.analytics_enabled, server.ui.v2_enabled, server.ui.show_promotional_content, understood.telemetry.enable_resource_metrics)
    assert not any(on)


def test_what_is_old_is_forgotten(understood: Understood) -> None:
    vacuum = understood.server.services.db_vacuum
    assert vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert vacuum.retention_period == timedelta(days=30)
    assert understood.server.events.retention_period == timedelta(days=7)


def test_busy_databases_are_logged_and_limits_outlive_the_server(understood: Understood, tmp_path: Path) -> None:
    assert understood.server.log_retryable_errors
    assert understood.server.concurrency.lease_storage.endswith(".filesystem")
    assert understood.home == tmp_path / "state" / "prefect"
    assert str(understood.server.ui.static_directory) == str(tmp_path / "state" / "prefect" / "ui")


def test_what_is_started_imports_nothing_from_the_folder_it_is_started_in(understood: Understood, tmp_path: Path) -> None:
    (tmp_path / "hub.py").write_text("raise SystemExit('not me')")
    asked = [sys.executable, "-m", "hub", "--help"]
    assert subprocess.run(asked, cwd=tmp_path, capture_output=True, check=False, timeout=60).returncode == 0  # noqa: S603


def test_a_run_is_heard_of_three_times_before_it_counts_as_silent(understood: Understood) -> None:
    from flows.service_runs import SILENCE

    assert timedelta(seconds=3 * (understood.flows.heartbeat_frequency or 0)) == SILENCE
