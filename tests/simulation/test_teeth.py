"""The simulation notices when a guard is gone: each mutant takes one away, and one of a few seeds must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import flows.planning
from connectors.base import Publish
from engine.merge import Merged
from flows.apply import _Project
from flows.pull import Puller
from state import Outbox, Store
from tests.simulation.scenario import Fault, Scenario, Step, Sync, generate
from tests.simulation.simulate import simulate

Mutation = Callable[[pytest.MonkeyPatch], None]


def the_mark_of_sending_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "sent", lambda *_, **__: None)
    patch.setattr(Outbox, "leaving", lambda *_, **__: None)


def what_is_in_doubt_is_sent_again_without_a_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Project, "_in_doubt", lambda *_: False)


def nobody_waits_for_a_write_that_comes_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Project, "_settled_by", lambda _, sent: sent)


def the_snapshot_is_kept_before_the_decisions(patch: pytest.MonkeyPatch) -> None:
    commit = flows.planning.commit

    def early(session: Any, pulled: Any, *rest: Any, **named: Any) -> None:
        with session.store.transaction():
            for (system, kind), snapshots in pulled.snapshots.items():
                session.store.save_snapshots(system, kind, list(snapshots.values()), session.runtime.clock())
        commit(session, pulled, *rest, **named)

    patch.setattr("flows.pipeline.commit", early)


def the_cursor_is_kept_before_the_decisions(patch: pytest.MonkeyPatch) -> None:
    commit = flows.planning.commit

    def early(session: Any, pulled: Any, *rest: Any, **named: Any) -> None:
        with session.store.transaction():
            for (system, kind), cursor in pulled.cursors.items():
                session.store.save_cursor(system, kind, cursor, session.runtime.clock())
        commit(session, pulled, *rest, **named)

    patch.setattr("flows.pipeline.commit", early)


def what_people_wrote_is_overwritten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("flows.apply.merge", lambda *, want, **_: Merged(want, {}))


def a_project_is_shown_before_it_is_complete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Project, "_is_complete", lambda _: True)


def a_section_takes_the_place_of_one_in_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Project, "_has_section_before", lambda *_: False)


def a_publishing_that_was_lost_is_made_anew(patch: pytest.MonkeyPatch) -> None:
    write = _Project._write

    def anew(self: _Project, intent: Any, merges: Any) -> Any:
        made = write(self, intent, merges)
        return replace(made, again=False) if isinstance(made, Publish) else made

    patch.setattr(_Project, "_write", anew)


def nothing_is_read_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("connectors.salesforce.cursor._earlier", lambda moment, _: moment)


def history_is_not_recorded_before_a_hint(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Puller, "is_baselined", lambda _: True)


def write_backs_that_failed_count_as_done(patch: pytest.MonkeyPatch) -> None:
    settle = Store.settle_back
    patch.setattr(Store, "settle_back", lambda store, system, row, error, *, park, now: settle(store, system, row, "", park=False, now=now))


_WON = (
    Step("deal", 1, {"name": "Big deal", "amount": 5000, "stage": "open", "account": 0}),
    *(Sync(0), Step("win", 1), Sync(1), Sync(2)),
)
CRASHES = [Scenario(0, _WON, (Fault("commit", number, "crash before"),)) for number in range(18, 30)]
LOCKED = [Scenario(0, _WON, (Fault("write back", 1, "row locked"),))]


def seeds(*numbers: int) -> list[Scenario]:
    return [generate(number) for number in numbers]


MUTANTS: dict[Mutation, list[Scenario]] = {
    the_mark_of_sending_is_not_kept: seeds(2, 3, 4, 5),
    what_is_in_doubt_is_sent_again_without_a_look: seeds(2, 3, 4, 5),
    nobody_waits_for_a_write_that_comes_late: seeds(40, 44, 45, 59),
    the_cursor_is_kept_before_the_decisions: CRASHES,
    the_snapshot_is_kept_before_the_decisions: CRASHES,
    what_people_wrote_is_overwritten: seeds(19, 26, 49, 50),
    a_project_is_shown_before_it_is_complete: seeds(0, 1, 2),
    a_section_takes_the_place_of_one_in_doubt: seeds(86, 139),
    a_publishing_that_was_lost_is_made_anew: seeds(58),
    nothing_is_read_twice: seeds(1, 16, 23, 31),
    history_is_not_recorded_before_a_hint: seeds(0, 1, 4),
    write_backs_that_failed_count_as_done: LOCKED,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_guard_that_is_gone_is_missed(mutant: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert any(simulate(scenario).violations for scenario in MUTANTS[mutant])


@pytest.mark.parametrize("scenario", [*CRASHES[:3], *LOCKED], ids=str)
def test_the_same_is_well_with_every_guard_in_place(scenario: Scenario) -> None:
    assert not simulate(scenario).violations
