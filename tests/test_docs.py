"""What the documentation says is true: verbs, exit codes, examples, files, links."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML
from typer.main import get_command
from typer.testing import CliRunner

from connectors import base
from connectors.base import ConfigError, ConnectorError
from engine import dates, expressions, filters, grammar
from engine.calendar import Calendar
from engine.check import Configuration
from engine.dates import Base, Found, date_fields, parse_date, resolve
from engine.expressions import compile_condition, compile_template
from engine.filters import path_of
from engine.model import Deal, EventInfo
from flows.cli import app
from flows.command.common import Exit
from flows.configuration import load

ROOT = Path(__file__).parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = (*READMES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MEANS = re.compile(r"^(.+?)\s+([→✗]) (.*)$")
ENV = {
    "SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com",
    **dict.fromkeys(("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "SALESFORCE_USERNAME", "SALESFORCE_REFRESH_TOKEN"), "x"),
    **dict.fromkeys(("ASANA_TOKEN", "ASANA_WORKSPACE", "ASANA_TEAM"), "1"),
    **dict.fromkeys(("SLACK_URL", "DINGTALK_URL", "FEISHU_URL"), "https://a.test/x"),
    **dict.fromkeys(("SMTP_PASSWORD", "DINGTALK_SECRET", "FEISHU_SECRET"), "x"),
}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page) if kind == language]


@cache
def _handoff() -> Any:
    return get_command(app)


def verbs(command: Any = None, name: str = "handoff") -> Iterator[str]:
    """Every verb that can be run: `handoff sync`, `handoff state verify`."""
    command = command or _handoff()
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for word, each in inner.items():
        yield from verbs(each, f"{name} {word}")


# verbs and exit codes


@pytest.mark.parametrize("verb", list(verbs()))
def test_a_verb_has_help_and_is_in_both_readmes(verb: str) -> None:
    told = CliRunner().invoke(app, [*verb.split()[1:], "--help"])
    assert told.exit_code == 0
    assert len(told.output.split()) > 10
    for readme in READMES:
        assert re.search(rf"^\| `{verb}\b", text(readme), re.MULTILINE), f"{readme.name} does not list {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_verb_or_option_that_does_not_exist(page: Path) -> None:
    known = {verb.split()[1] for verb in verbs()} | {"state"}
    options = {option for verb in verbs() for option in _options(verb)}
    for line in re.findall(r"(?:^|`)handoff ((?:[^`\n#])*)", text(page), re.MULTILINE):
        words = line.split()
        named = next((word for word in words if not word.startswith("-") and words[words.index(word) - 1] != "--log"), "")
        assert not named or named in known, f"{page.name}: handoff {line}"
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= options, f"{page.name}: handoff {line}"


def _options(verb: str) -> set[str]:
    command = _handoff()
    found = {option for parameter in command.params for option in parameter.opts}
    for word in verb.split()[1:]:
        command = command.commands[word]
    return found | {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("code", list(Exit))
@pytest.mark.parametrize("page", [*READMES, ROOT / "docs" / "operations.md"], ids=lambda page: page.name)
def test_an_exit_code_is_documented(page: Path, code: Exit) -> None:
    assert re.search(rf"^\| {code.value} \| \S", text(page), re.MULTILINE)


def test_no_exit_code_is_documented_that_does_not_exist() -> None:
    for page in (*READMES, ROOT / "docs" / "operations.md"):
        assert {int(code) for code in re.findall(r"^\| (\d+) \|", text(page), re.MULTILINE)} == {code.value for code in Exit}


def test_every_error_is_in_the_operations_page() -> None:
    page = text(ROOT / "docs" / "operations.md")
    errors = {name for name, each in vars(base).items() if isinstance(each, type) and issubclass(each, ConnectorError)}
    assert {name for name in errors - {"ConnectorError"} if f"`{name}`" not in page} == set()


# files


def _claims() -> Iterator[Any]:
    for page in PAGES:
        for number, body in enumerate(blocks(text(page), "yaml")):
            claim = re.match(r"# ((?:rules|mappings/\S+)\.yaml)", body)
            if claim:
                yield pytest.param(claim[1], body, id=f"{page.name}-{number}")


@pytest.mark.parametrize(("file", "body"), list(_claims()))
def test_a_yaml_example_is_a_configuration_that_checks(file: str, body: str, tmp_path: Path) -> None:
    _check(file, body, tmp_path)


def test_a_mistake_in_a_yaml_example_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown field deal\.stge"):
        _check("rules.yaml", "rules: [{name: a, on: [deal.won], when: deal.stge, do: [{create: x, target: asana}]}]", tmp_path)


def _check(file: str, body: str, folder: Path) -> None:
    """Load the shipped configuration with the example in its place. Raises ConfigError."""
    shutil.copy(ROOT / "rules.yaml", folder)
    shutil.copytree(ROOT / "mappings", folder / "mappings")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "salesforce.pem").write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    _overlay(folder / file, body)
    load(folder, ENV)


def _overlay(path: Path, body: str) -> None:
    """The shipped file with the example's keys; a whole file stands for itself."""
    yaml = YAML(typ="safe")
    new = yaml.load(body)
    old = yaml.load(path) if path.exists() and "version" not in new else {}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(_merged(old, new), file)


def _merged(old: Any, new: Any, key: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and key != "connection":
        return {**old, **{name: _merged(old.get(name), value, name) for name, value in new.items()}}
    return new


def test_the_configuration_reference_is_what_is_generated() -> None:
    generated = CliRunner().invoke(app, ["schema", "--reference"]).output
    assert text(ROOT / "docs" / "configuration.md") == generated, "run `make docs`"


@pytest.mark.parametrize("kind", ["sh", "yaml", "ini", "json"])
def test_the_readmes_show_the_same_code(kind: str) -> None:
    assert blocks(text(READMES[0]), kind) == blocks(text(READMES[1]), kind)


def test_the_readmes_have_the_same_shape() -> None:
    def shape(page: str) -> list[str]:
        lines = BLOCK.sub("", page).splitlines()
        return [re.match(r"#+|\||\d\.|!?", line)[0] for line in lines if re.match(r"#+ |\||\d\. |!\[", line)]  # type: ignore[index]

    assert shape(text(READMES[0])) == shape(text(READMES[1]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", text(page))):
        if not link.startswith(("http://", "https://")):
            file, _, anchor = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in _anchors(text(target)), f"{page.name}: {link}"


def _anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)


def test_no_tracked_file_names_a_package_index() -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)  # noqa: S607 - git, wherever it is
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    index = re.compile(
        rb"(--(extra-)?index-url[ =]|--find-links[ =]|files\.python" + rb"hosted\.org|py" + rb"pi\.org|/simple/?$)", re.MULTILINE
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    found = [str(path.relative_to(ROOT)) for path in paths if path.is_file() and index.search(path.read_bytes())]
    assert found == []


# expressions.md


PAGE = text(ROOT / "docs" / "expressions.md")


def _examples(heading: str) -> list[tuple[str, str, str]]:
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(heading + "\n"))
    lines = [line for _, block in BLOCK.findall(body) for line in block.splitlines()]
    assert lines
    found = [MEANS.match(line) for line in lines]
    assert all(found), "every line of an example says what it means"
    return [(one[1], one[2], one[3]) for one in found if one]


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return load(ROOT, connect=False).configuration


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    deal = Deal.model_validate(YAML(typ="safe").load(next(body for body in blocks(PAGE, "yaml") if "the deal of the examples" in body)))
    event = EventInfo(name="deal.won", at=datetime(2026, 12, 23, 10, tzinfo=UTC))
    return {"deal": deal, "customer": deal.customer, "before": None, "event": event}


@pytest.mark.parametrize(("example", "sign", "means"), _examples("Conditions"))
def test_a_condition_means_what_the_page_says(
    example: str, sign: str, means: str, configuration: Configuration, values: dict[str, Any]
) -> None:
    if sign == "✗":
        with pytest.raises(expressions.Invalid, match=re.escape(means)):
            compile_condition(example, configuration.scope("deal"))
        return
    assert compile_condition(example, configuration.scope("deal")).passes(values) is {"true": True, "false": False}[means]


@pytest.mark.parametrize(("example", "sign", "means"), _examples("Templates"))
def test_a_template_makes_what_the_page_says(
    example: str, sign: str, means: str, configuration: Configuration, values: dict[str, Any]
) -> None:
    if sign == "✗":
        with pytest.raises(expressions.Invalid, match=re.escape(means)):
            compile_template(example, configuration.scope("deal"))
        return
    assert compile_template(example, configuration.scope("deal")).render(values).strip() == means


@pytest.mark.parametrize(("example", "sign", "means"), _examples("Relative dates"))
def test_a_relative_date_is_the_day_the_page_says(
    example: str, sign: str, means: str, configuration: Configuration, values: dict[str, Any]
) -> None:
    fields = date_fields(configuration.scope("deal").shapes, "deal")
    if sign == "✗":
        with pytest.raises(dates.Invalid, match=re.escape(means)):
            parse_date(example, slots={"kickoff"}, fields=fields)
        return
    known = {
        "anchor": date(2026, 12, 23),
        "start": date(2026, 12, 28),
        "after": date(2026, 12, 24),
        "slot_due": date(2026, 12, 24),
        "slot_start": date(2026, 12, 22),
        "last_due": date(2026, 12, 24),
    }

    def look_up(base: Base) -> Found:
        found: Found = known[base.kind] if base.kind != "field" else path_of(values, base.name)
        return found

    rule = parse_date(example, slots={"kickoff"}, fields=fields)
    found = resolve(rule, look_up, event=date(2026, 12, 23), calendar=Calendar.named("DE"), zone=ZoneInfo("Europe/Berlin"))
    assert found.day == date.fromisoformat(means)


@pytest.mark.parametrize("name", [*filters.FILTERS, "convert"])
def test_a_filter_is_described_and_shown(name: str) -> None:
    assert re.search(rf"^\|.*`{name}\b.*\|.*\|", PAGE, re.MULTILINE)
    assert re.search(rf"\| {name}\b.* →", PAGE)


@pytest.mark.parametrize("name", filters.TESTS)
def test_a_test_is_shown(name: str) -> None:
    assert re.search(rf" is {name}\b.* →", PAGE)


@pytest.mark.parametrize("kind", ["deal", "customer"])
def test_every_field_is_named(kind: str, configuration: Configuration) -> None:
    shape = configuration.scope("deal").shapes[kind]
    lists = [inner.of for inner in shape.fields.values() if inner.of]
    names = {name for each in (shape, *lists) for name in each.fields}
    assert {name for name in names if not re.search(rf"[`.]{name}[`.]", PAGE)} == set()


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("Length of a condition", expressions.MAX_CONDITION),
        ("Length of a template", expressions.MAX_TEMPLATE),
        ("Length of a text a template makes", filters.MAX_TEXT),
        ("Depth of nesting", grammar.MAX_DEPTH),
        ("Loops inside each other", grammar.MAX_LOOPS),
        ("Steps of a date", dates._STEPS),
    ],
)
def test_a_limit_is_what_the_page_says(what: str, most: int) -> None:
    assert re.search(rf"^\| {what} \| {most:,}( characters)? \|$", PAGE, re.MULTILINE)


# guarantees

CLAIM = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
PROMISES = ("Once", "Nothing lost", "Nothing of a person's")


def test_each_guarantee_names_a_test_that_exists() -> None:
    page = text(ROOT / "docs" / "guarantees.md")
    for name, file in CLAIM.findall(page):
        assert re.search(rf"def {name}\b", text(ROOT / file)), f"{file} has no {name}"
    for promise in PROMISES:
        chapter = page.split(f"## {promise}\n")[1].split("\n## ")[0]
        claims = [line for line in chapter.splitlines() if line.startswith("| ") and not line.startswith("| Claim")]
        assert claims
        assert all(CLAIM.search(line) for line in claims), f"a claim under {promise} has no test"
