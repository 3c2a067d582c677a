"""The command with its state on PostgreSQL: everything works as with a file, and no password is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.service import quiet_settings, run_parameters
from flows.settings import Settings
from tests.flows.desk import Desk, soon_settled

PASSWORD = "geheim"


@pytest.fixture
def url(fresh_state: Callable[[], str]) -> str:
    return fresh_state().replace("handoff@", f"handoff:{PASSWORD}@")


@pytest.fixture
def on_postgres(desk: Desk, url: str) -> Desk:
    desk.env["HANDOFF_STATE"] = url
    return desk


def with_project(desk: Desk) -> None:
    deal = desk.world.deal("Big deal")
    assert desk.do("sync").exit_code == 0
    desk.world.win(deal)
    assert desk.do("sync").exit_code == 0


def test_a_won_deal_becomes_a_project_and_every_verb_knows_of_it(on_postgres: Desk) -> None:
    with_project(on_postgres)
    assert on_postgres.world.shown() == ["Big deal onboarding"]
    assert on_postgres.told("sync")["result"] == "nothing to do"
    assert on_postgres.told("status")["counts"]["published"] == 1
    assert len(on_postgres.told("history")) == 3
    assert on_postgres.told("state", "verify")["counts"]["link"] == 9
    assert on_postgres.told("state", "compact")["rows"] == 0
    assert on_postgres.do("plan").exit_code == 0
    assert on_postgres.do("retry").exit_code == 0
    url = on_postgres.world.board.projects[on_postgres.world.projects()[0]]["permalink_url"]
    assert "Big deal" in on_postgres.do("explain", url).output


def test_no_verb_shows_the_password(on_postgres: Desk) -> None:
    with_project(on_postgres)
    verbs = (["status"], ["history"], ["state", "verify"], ["state", "compact"], ["sync"], ["plan"], ["state", "backup", "x.db"])
    told = "".join(on_postgres.do(*words).output for words in verbs)
    assert "pg_dump" in told
    assert PASSWORD not in told


@pytest.mark.parametrize("words", [["status"], ["history"], ["explain", "x"], ["state", "verify"], ["retry"]])
def test_verbs_that_only_look_make_no_tables(on_postgres: Desk, words: list[str]) -> None:
    done = on_postgres.do(*words)
    assert done.exit_code == 6
    assert "handoff sync" in done.stderr
    assert on_postgres.do(*words).exit_code == 6


def test_a_server_that_is_away_is_for_later(desk: Desk) -> None:
    for words in (["sync"], ["status"]):
        done = desk.do(*words, HANDOFF_STATE=f"postgresql://someone:{PASSWORD}@127.0.0.1:1/state")
        assert done.exit_code == 5
        assert "cannot be reached" in done.stderr
        assert PASSWORD not in done.output


def test_an_address_of_another_kind_is_not_taken_for_a_file(desk: Desk) -> None:
    done = desk.do("sync", "--state", f"postgresq://u:{PASSWORD}@h/x")
    assert done.exit_code == 2
    assert "postgresql://user@host/database" in done.stderr
    assert PASSWORD not in done.output
    assert not Path("postgresq:").exists()


def test_a_state_moves_to_postgresql_and_back_and_work_goes_on(desk: Desk, url: str) -> None:
    desk.world.configure(soon_settled())
    with_project(desk)
    there = desk.told("state", "copy", str(desk.state), url)
    assert PASSWORD not in str(there)
    assert there["rows"]["link"] == 9
    other = desk.world.deal("Second")
    desk.world.win(other)
    assert desk.do("sync", HANDOFF_STATE=url).exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding", "Second onboarding"]
    back = desk.path / "back.db"
    done = desk.do("state", "copy", url, str(back))
    assert done.exit_code == 0
    assert "18 link" in done.output
    assert desk.told("sync", HANDOFF_STATE=str(back))["counts"].get("created", 0) == 0
    assert desk.world.shown() == ["Big deal onboarding", "Second onboarding"]
    assert desk.told("state", "verify", HANDOFF_STATE=str(back))["ok"]


def test_a_copy_onto_something_is_refused(desk: Desk, url: str) -> None:
    with_project(desk)
    assert desk.do("state", "copy", str(desk.state), url).exit_code == 0
    again = desk.do("state", "copy", str(desk.state), url)
    assert again.exit_code == 6
    assert "is not empty" in again.stderr
    nothing = desk.do("state", "copy", str(desk.path / "none.db"), url)
    assert nothing.exit_code == 6


def test_what_prefect_shows_of_a_run_holds_no_password(desk: Desk, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDOFF_STATE", raising=False)
    where = Settings(desk.folder, url, {})
    assert PASSWORD not in str(run_parameters(where))
    assert quiet_settings(where)["PREFECT_HOME"] == str(desk.folder / "state" / "data" / "prefect")
