"""Nothing twice, nothing lost, nothing of a person's overwritten, whatever goes wrong on the way: three hundred scenarios."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.__main__ import main, replay, tell
from tests.simulation.scenario import Fault, Scenario, Step, Sync, crowd, generate
from tests.simulation.shrink import shrink
from tests.simulation.simulate import simulate
from tests.targets import TARGETS

SEEDS, CHUNK, SHARED, LIKE = 300, 10, 20, 30
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + CHUNK):
        outcome = simulate(generate(seed))
        if outcome.violations:
            pytest.fail(f"{tell(shrink(outcome, most=150))}\n{replay(seed)}", pytrace=False)


@pytest.mark.nightly
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(SEEDS, 5_000, 100))
def test_every_promise_holds_for_very_many_seeds(first: int) -> None:
    for seed in range(first, first + 100):
        outcome = simulate(generate(seed))
        if outcome.violations:
            pytest.fail(f"{tell(shrink(outcome))}\n{replay(seed)}", pytrace=False)


@pytest.mark.parametrize("first", range(0, SHARED, 4))
def test_every_promise_holds_for_four_workers_on_one_server(first: int, fresh_state: Callable[[], str]) -> None:
    for seed in range(first, first + 4):
        outcome = simulate(crowd(generate(seed)), fresh_state())
        assert not outcome.violations, tell(outcome)


@pytest.mark.nightly
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(SHARED, 300, 20))
def test_every_promise_holds_for_four_workers_and_many_seeds(first: int, fresh_state: Callable[[], str]) -> None:
    for seed in range(first, first + 20):
        outcome = simulate(crowd(generate(seed)), fresh_state())
        assert not outcome.violations, tell(outcome)


@pytest.mark.parametrize("system", [system for system in TARGETS if system != "asana"])
def test_every_promise_holds_for_a_tool_that_has_no_more_than(system: str) -> None:
    for seed in range(LIKE):
        outcome = simulate(replace(generate(seed), like=system))
        assert not outcome.violations, tell(outcome)


@pytest.mark.nightly
@pytest.mark.timeout(0)
@pytest.mark.parametrize("system", [system for system in TARGETS if system != "asana"])
def test_every_promise_holds_for_very_many_seeds_and_a_tool_that_has_no_more_than(system: str) -> None:
    for seed in range(LIKE, 400):
        outcome = simulate(replace(generate(seed), like=system))
        assert not outcome.violations, tell(outcome)


@pytest.mark.parametrize("seed", [3, 7])
def test_a_seed_gives_the_same_trace_letter_by_letter_in_any_process(seed: int) -> None:
    traces = {_trace(seed, hash_seed) for hash_seed in ("0", "1", "2")}
    assert len(traces) == 1
    assert traces.pop().count("\n") > 30


def _trace(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", str(seed)]
    done = subprocess.run(  # noqa: S603 - ourselves
        command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_seeds_differ() -> None:
    assert len({str(generate(seed)) for seed in range(50)}) == 50


def test_a_scenario_makes_sense_with_any_part_of_it_left_out() -> None:
    scenario = generate(2)
    for entry in scenario.entries:
        assert not simulate(scenario.without(entries=[entry])).violations


def test_what_is_reported_is_no_more_than_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.watch.Watch.ran", lambda watch, *_: watch.shown and watch.wrong("somebody saw a project"))
    failed = next(outcome for seed in range(20) if (outcome := simulate(generate(seed))).violations)
    small = shrink(failed)
    assert len(small.scenario.entries) <= 3
    assert not small.scenario.faults
    assert "somebody saw a project" in tell(small)


def test_a_fault_is_met_where_it_is_addressed_and_told() -> None:
    deal = Step("deal", 1, {"name": "Big deal", "amount": 5000, "stage": "open", "account": 0})
    scenario = Scenario(0, (deal, Sync(0), Step("win", 1), Sync(1), Sync(2)), (Fault("project", 1, "crash after"),))
    outcome = simulate(scenario)
    assert not outcome.violations
    assert outcome.figures["crashes"] == 1
    told = [line.split(maxsplit=1)[1] for line in outcome.trace]
    assert "!! fault crash after at project 1" in told
    assert "the process dies after project 1" in told


def test_an_update_that_takes_effect_late_does_not_undo_a_newer_one() -> None:
    deal = Step("deal", 1, {"name": "Big deal", "amount": 5000, "stage": "open", "account": 0})
    entries = (
        deal,
        Sync(0),
        Step("win", 1),
        Sync(1),
        Step("name", 1, "Second"),
        Sync(2, patience=0),
        Step("name", 1, "Third"),
        Sync(3, 0.05),
    )
    before = simulate(Scenario(0, entries[:4], ()))
    first = (
        sum(" batch " in line for line in before.trace[: before.trace.index(next(line for line in before.trace if "sync 1001" in line))])
        + 1
    )
    outcome = simulate(Scenario(0, entries, (Fault("batch", first, "late", 50),)))
    assert outcome.faults["late"] == 1
    assert not outcome.violations


def test_the_command_says_how_much_it_did_and_how_to_see_a_failure_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--seeds", "3", "--from", "10", "--jobs", "1", "--json"]) == 0
    assert '"seeds": 3' in capsys.readouterr().out
    monkeypatch.setattr("tests.simulation.watch.Watch.ran", lambda watch, *_: watch.wrong("it is always wrong"))
    assert main(["--seeds", "1", "--jobs", "1"]) == 1
    assert "make simulate SEED=0" in capsys.readouterr().err
