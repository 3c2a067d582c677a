"""The files of a folder become a configuration, or every problem of theirs is told at once, at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import ConfigError
from engine.model import Problem
from flows.configuration import MAX_BYTES, at, connection_problems, load
from tests.flows.files import ASANA, ONBOARDING, RULES, SALESFORCE, write_files

ENV = {"TOKEN": "secret-token", "WORKSPACE": "1", "TEAM": "2"}


def problems(folder: Path, files: dict[str, str], env: dict[str, str] | None = None) -> list[Problem]:
    write_files(folder, files)
    with pytest.raises(ConfigError) as raised:
        load(folder, ENV if env is None else env)
    return list(raised.value.problems)


def test_a_good_folder_loads_and_knows_its_targets(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    loaded = load(tmp_path, ENV)
    assert loaded.targets == ("asana",)
    assert set(loaded.connections) == {"asana", "salesforce"}
    assert "secret-token" not in repr(loaded.connections)


def test_problems_of_all_files_are_told_at_once_each_at_its_place(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "rules.yaml": RULES.replace("create: onboarding", "create: onbording"),
            "mappings/salesforce.yaml": SALESFORCE.replace("amount: Amount", "amuont: Amount"),
            "mappings/blueprints/onboarding.yaml": ONBOARDING.replace("after: [kickoff]", "after: [kickof]"),
        },
    )
    places = {problem.file: problem for problem in found}
    assert set(places) >= {"rules.yaml", "mappings/salesforce.yaml", "mappings/blueprints/onboarding.yaml"}
    assert all(problem.line and problem.column for problem in found)
    assert "onboarding" in places["rules.yaml"].hint
    line = ONBOARDING.splitlines().index("        after: [kickoff]") + 1
    assert places["mappings/blueprints/onboarding.yaml"].line == line


def test_a_missing_secret_is_named_where_it_is_asked_for(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {}, {"WORKSPACE": "1", "TEAM": "2"})
    assert "TOKEN" in problem.message
    assert (problem.file, problem.line) == ("mappings/asana.yaml", ASANA.splitlines().index("  token: ${TOKEN}") + 1)


def test_without_connecting_no_secret_is_needed(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    assert load(tmp_path, {}, connect=False).connections == {}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    write_files(tmp_path, {"mappings/asana.yaml": ASANA.replace("${TOKEN}", "${file:token.txt}")})
    (tmp_path / "token.txt").write_text("from-a-file\n")
    connection = load(tmp_path, ENV).connections["asana"]
    assert connection.token.get_secret_value() == "from-a-file"  # type: ignore[attr-defined]


def test_an_unknown_setting_of_a_connection_is_refused_at_its_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"mappings/asana.yaml": ASANA.replace("  team:", "  taem:")})
    assert (problem.file, problem.line) == ("mappings/asana.yaml", ASANA.splitlines().index('  team: "${TEAM}"') + 1)
    assert "secret-token" not in str(problem)


def test_what_stands_under_connection_is_checked_without_any_secret(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    assert connection_problems(load(tmp_path, {}, connect=False).configuration) == []
    asana = ASANA.replace("  team:", "  per_minute: many\n  taem:")
    write_files(
        tmp_path, {"mappings/asana.yaml": asana, "mappings/salesforce.yaml": SALESFORCE.replace("  client_id: handoff-client\n", "")}
    )
    found = connection_problems(load(tmp_path, {}, connect=False).configuration)
    lines = asana.splitlines()
    places = {(problem.file, problem.line) for problem in found}
    assert {
        ("mappings/asana.yaml", lines.index("  per_minute: many") + 1),
        ("mappings/asana.yaml", lines.index('  taem: "${TEAM}"') + 1),
    } <= places
    assert "mappings/salesforce.yaml" in {file for file, _ in places}


def test_a_system_nobody_can_connect_is_refused_with_a_guess(tmp_path: Path) -> None:
    found = problems(tmp_path, {"mappings/asana.yaml": ASANA.replace("system: asana", "system: asanna")})
    assert any("asanna" in problem.message and "asana" in problem.hint for problem in found)


def test_a_folder_without_rules_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rules.yaml: cannot be read .*handoff init"):
        load(tmp_path, ENV)


@pytest.mark.parametrize("text", ["rules: [", "\x00", "a: &x [*x]", "- " * 5000, "x" * (MAX_BYTES + 1), "!!python/object:os.system {}", ""])
def test_no_text_breaks_the_reader(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, {"rules.yaml": text})


def test_a_connectors_problem_gets_its_place_in_the_mapping(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    configuration = load(tmp_path, ENV).configuration
    placed = at(configuration, "salesforce", Problem("gone", path=("read", "deal", "fields", "amount")))
    line = SALESFORCE.splitlines().index("      amount: Amount") + 1
    assert (placed.file, placed.line) == ("mappings/salesforce.yaml", line)
    assert at(configuration, "salesforce", Problem("somewhere")) == Problem("somewhere")
