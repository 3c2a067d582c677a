"""`handoff work`: where it can work, when it ends, and how it says so."""

from __future__ import annotations

from collections.abc import Callable

from tests.flows.desk import Desk


def test_a_state_file_is_for_one_process_at_a_time(desk: Desk) -> None:
    assert desk.do("sync").exit_code == 0
    done = desk.do("work")
    assert done.exit_code == 6
    assert "more workers need a state on PostgreSQL" in done.stderr


def test_a_worker_makes_no_state(desk: Desk, fresh_state: Callable[[], str]) -> None:
    done = desk.do("work", HANDOFF_STATE=fresh_state())
    assert done.exit_code == 6
    assert "run `handoff sync` first" in done.stderr


def test_a_worker_whose_credentials_are_refused_ends_and_leaves_the_work_to_others(desk: Desk, fresh_state: Callable[[], str]) -> None:
    state = fresh_state()
    deal = desk.world.deal("Big deal")
    desk.do("sync", HANDOFF_STATE=state)
    desk.world.win(deal)
    assert desk.do("sync", HANDOFF_STATE=state, TOKEN="stale").exit_code == 4
    done = desk.do("work", HANDOFF_STATE=state, TOKEN="stale")
    assert done.exit_code == 4, done.output
    assert desk.do("sync", HANDOFF_STATE=state).exit_code == 0
    assert desk.world.shown() == ["Big deal onboarding"]
