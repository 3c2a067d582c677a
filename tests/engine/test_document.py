"""Reading YAML: typed data, exact places, hostile text, and models built from it."""

from __future__ import annotations

import contextlib
import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from engine.config import BlueprintSpec, Rules, SystemMapping
from engine.document import Invalid, build, parse, resolve
from engine.model import Problem

RULES = """\
version: 1
sources: [salesforce]
rules:
  - name: onboard
    on: [deal.won]
    when: deal.amount >= 10000
    do:
      - create: customer-onboarding
        target: asana
"""


def refused(text: str | bytes) -> Problem:
    with pytest.raises(Invalid) as caught:
        parse(text, "rules.yaml")
    return caught.value.problems[0]


def problems(text: str, model: type[BaseModel] = Rules) -> list[str]:
    built, found = build(parse(text, "rules.yaml"), model)
    assert built is None
    return [str(problem) for problem in found]


def test_scalars_keep_their_exact_meaning() -> None:
    data = parse("a: 12\nb: 0.10\nc: 2026-01-31\nd: true\ne: ~\nf: '12'\ng: 007\nh: no\ni: 1_000\nj: 2026-02-31\nk: 1e3", "x").data
    assert data["b"] == Decimal("0.10")
    assert str(data["b"]) == "0.10"
    assert data == {
        "a": 12,
        "b": Decimal("0.10"),
        "c": date(2026, 1, 31),
        "d": True,
        "e": None,
        "f": "12",
        "g": "007",
        "h": "no",
        "i": "1_000",
        "j": "2026-02-31",
        "k": Decimal(1000),
    }


def test_on_and_yes_are_plain_text_keys() -> None:
    assert parse("on: 1\nyes: 2\n1: 3\ntrue: 4", "x").data == {"on": 1, "yes": 2, "1": 3, "true": 4}


def test_a_huge_number_stays_text_and_costs_nothing() -> None:
    digits = "9" * 5000
    assert parse(f"a: {digits}\nb: 1e999999999\nc: 0x{digits}", "x").data == {"a": digits, "b": "1e999999999", "c": f"0x{digits}"}


def test_a_byte_order_mark_is_skipped() -> None:
    document = parse("\ufeffa: 1".encode(), "x")
    assert document.data == {"a": 1}
    assert document.place(("a",)) == (1, 4)


def test_an_alias_repeats_what_its_anchor_names() -> None:
    assert parse("a: &x [1, 2]\nb: *x", "x").data == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "the key a stands here twice", "remove one of them"),
        ("a:\n\t- b\n", (2, 1), "this is not YAML", "indent with spaces, not with tabs"),
        ("a: {{ deal.name }}\n", (1, 5), "a key has to be plain text", "put text that begins with {"),
        ("a: x: y\n", (1, 5), "this is not YAML: mapping values are not allowed", "put text that holds ': ' in quotes"),
        ("a: !python/object:os.system x\n", (1, 4), "tags such as !python/object:os.system", "remove it"),
        ("a: !!binary x\n", (1, 4), "tags such as tag:yaml.org,2002:binary", "remove it"),
        ("a: *b\n", (1, 4), "*b stands for nothing yet", "put text that begins with *"),
        ("a: &b [*b]\n", (1, 8), "*b stands for nothing yet", ""),
        ("<<: {a: 1}\n", (1, 1), "merge keys (<<) are not available", "write the keys out"),
        ("a: 1\n---\nb: 2\n", (2, 1), "there is more than one document", "remove the line '---'"),
        ("a: 1\nb: x\x00y\n", (2, 5), "the character U+0000 cannot stand in YAML", "remove it"),
        ("a: \ud800", (1, 4), "the character U+D800 cannot stand in YAML", ""),
        ('a: "b\n', (2, 1), "this is not YAML", "close the quote"),
        (b"a: 1\nb: \xff\xfe", (2, 4), "the file is not UTF-8", "save it as UTF-8"),
        ("a: " + "[" * 60 + "]" * 60, (1, 53), "the nesting is deeper than 50", ""),
        ("[" * 900_000, (1, 51), "the nesting is deeper than 50", ""),
        ("x" * 1_000_001, (1, 1), "the file is larger than 1000000 bytes", ""),
    ],
)
def test_hostile_or_broken_text_is_refused_at_its_place(text: str | bytes, place: tuple[int, int], message: str, hint: str) -> None:
    problem = refused(text)
    assert (problem.line, problem.column) == place
    assert problem.file == "rules.yaml"
    assert problem.message.startswith(message)
    assert problem.hint.startswith(hint)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.perf_counter()
    assert refused("\n".join(lines)).message == "the file holds more than 100000 values"
    assert time.perf_counter() - started < 2


def test_all_duplicate_keys_are_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse("a: {b: 1, b: 2}\nc: 1\nc: 2", "x")
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(1, 11), (3, 1)]


def test_places_are_those_of_values_and_keys() -> None:
    document = parse(RULES, "rules.yaml")
    assert document.place(("rules", 0, "when")) == (6, 11)
    assert document.key_place(("rules", 0, "when")) == (6, 5)
    assert document.place(("rules", 0, "do", 0, "missing", "deeper")) == (8, 9)


@pytest.mark.parametrize(
    ("text", "line", "column", "place"),
    [
        ("a: deal.stge == 1", 1, 6, (1, 9)),
        ("a: 'deal.stge'", 1, 6, (1, 10)),
        ("a: 'it''s deal.stge'", 1, 11, (1, 16)),
        ('a: "x\\n deal.stge"', 2, 7, (1, 14)),
        ("a: |\n  # hé 中文\n  {{ deal.stge }}\n", 2, 9, (3, 11)),
        ("a: >-\n  one\n  deal.stge two\n", 1, 10, (3, 8)),
        ("a: one\n  deal.stge two\n", 1, 10, (2, 8)),
    ],
)
def test_a_spot_inside_a_text_is_found_however_the_text_is_quoted(text: str, line: int, column: int, place: tuple[int, int]) -> None:
    document = parse(text, "x")
    spot = document.at(("a",)).splitlines()[line - 1][column - 1 :]
    assert spot[0] == "s" or "stge" in spot
    assert document.inside(("a",), line, column) == place


def test_a_good_document_becomes_a_model() -> None:
    rules, found = build(parse(RULES, "rules.yaml"), Rules)
    assert found == []
    assert rules is not None
    assert rules.rules[0].when == "deal.amount >= 10000"


def test_a_misspelt_key_is_told_at_the_key() -> None:
    found = problems(RULES.replace("when:", "wen:"))
    assert found[0].startswith("rules.yaml:6:5: unknown key 'wen' (did you mean when?; allowed: approval, backfill, description, do,")
    assert len(found) == 1


def test_a_misspelt_required_key_is_one_problem_not_two() -> None:
    assert len(problems(RULES.replace("target:", "traget:"))) == 1


def test_a_missing_key_is_told_at_its_parent() -> None:
    assert problems(RULES.replace("        target: asana\n", "")) == ["rules.yaml:8:9: missing key 'target'"]


def test_a_wrong_word_says_which_are_allowed() -> None:
    found = problems(RULES.replace("deal.won", "deal.one"))
    assert found[0].startswith("rules.yaml:5:10: 'on' is 'deal.one'; did you mean deal.won?; allowed: deal.created, deal.won")


def test_every_problem_of_a_file_is_told_at_once() -> None:
    found = problems(RULES.replace("on: [deal.won]", "on: deal.won").replace("version: 1", "version: 2").replace("onboard\n", "On Board\n"))
    assert [line.split(": ")[0] for line in found] == ["rules.yaml:1:10", "rules.yaml:4:11", "rules.yaml:5:9"]


def test_numbers_and_truth_values_serve_where_text_is_wanted() -> None:
    text = "version: 1\nsystem: sf\nconnection: {}\nread:\n  deal:\n    object: O\n    fields:\n      type: {field: T, values: {1: 2}}\n"
    mapping, found = build(parse(text, "x"), SystemMapping)
    assert found == []
    assert mapping is not None
    assert mapping.read["deal"].fields["type"].values == {"1": "2"}  # type: ignore[union-attr]
    assert build(parse(RULES.replace("deal.amount >= 10000", "false"), "x"), Rules)[0].rules[0].when == "false"  # type: ignore[union-attr]


def test_a_wrong_field_mapping_is_told_without_noise() -> None:
    text = "version: 1\nsystem: sf\nconnection: {}\nread:\n  deal:\n    object: O\n    fields:\n      type: {feld: T}\n      status: {won: A}\n"
    found = problems(text, SystemMapping)
    assert [line.split(" (")[0] for line in found] == ["rules.yaml:8:14: unknown key 'feld'", "rules.yaml:9:15: missing key 'closed'"]


def test_an_empty_file_is_a_problem_not_an_error() -> None:
    assert problems("# nothing yet\n")[0].startswith("rules.yaml:1:1: the file is empty")


def test_a_large_blueprint_loads_quickly() -> None:
    task = "      - slot: task-{n}\n        name: Task {n} for {{{{ customer.name }}}}\n        due: anchor + {n} working days\n"
    text = "version: 1\nname: large\nproject: {name: Large}\nsections:\n  - slot: all\n    name: All\n    tasks:\n"
    text += "".join(task.format(n=n) for n in range(1000))
    started = time.perf_counter()
    blueprint, found = build(parse(text, "large.yaml"), BlueprintSpec)
    assert time.perf_counter() - started < 3
    assert found == []
    assert blueprint is not None
    assert len(blueprint.sections[0].tasks) == 1000


def test_references_are_filled_in_at_any_depth() -> None:
    def read(path: str) -> str:
        return {"key.pem": "secret\n"}[path]

    value = {"token": "${TOKEN}", "list": ["Bearer ${TOKEN}", 3], "key": "${file:key.pem}", "plain": "$${TOKEN} $5"}
    assert resolve(value, {"TOKEN": "t0p"}, read) == (
        {"token": "t0p", "list": ["Bearer t0p", 3], "key": "secret", "plain": "${TOKEN} $5"},
        [],
    )


def test_what_cannot_be_filled_in_is_named_with_its_path_and_no_value() -> None:
    def read(path: str) -> str:
        raise FileNotFoundError(path)

    _, found = resolve({"a": ["${A}${B}"], "f": "${file:no.pem}", "odd": "${a b}"}, {"A": "t0p"}, read, at=("connection",))
    assert [(problem.path, problem.message) for problem in found] == [
        (("connection", "a", 0), "the environment variable B is not set, nor is it in .env"),
        (("connection", "f"), "the file no.pem cannot be read"),
        (("connection", "odd"), "${a b} is neither a variable nor file:PATH; write $${ for a plain ${"),
    ]
    assert "t0p" not in str(found)


def test_a_filled_in_value_is_not_filled_in_again() -> None:
    assert resolve("${A}", {"A": "${B}", "B": "x"}, str)[0] == "${B}"


YAMLISH = st.text(alphabet="abc: -[]{}&*!|>'\"#%@`,?~<\n\t 0123.")


@given(st.text() | YAMLISH | st.binary())
def test_no_text_whatever_makes_reading_fail_in_another_way(text: str | bytes) -> None:
    with contextlib.suppress(Invalid):
        document = parse(text, "x")
        for path in document.places:
            value: Any = document.at(path)
            document.inside(path, 1, len(value) if isinstance(value, str) else 1)
        for model in (Rules, SystemMapping, BlueprintSpec):
            build(document, model)
