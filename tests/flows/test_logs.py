"""Logs are JSON lines with the run's id, and hold no secret and no customer's words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from flows import logs


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capsys
    ours = logging.getLogger("handoff")
    ours.handlers.clear()
    ours.propagate = True
    ours.setLevel(logging.NOTSET)


def read(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object_with_the_run_and_what_was_passed(lines: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    token = logs.run_id.set("20260101-000000-abcd")
    logs.get("pipeline").info("run ended", extra={"result": "done", "counts": {"created": 3}, "name_of": "苏州"})
    logs.run_id.reset(token)
    (line,) = read(lines)
    assert line["event"] == "run ended"
    assert (line["level"], line["part"], line["run"]) == ("info", "pipeline", "20260101-000000-abcd")
    assert (line["result"], line["counts"], line["name_of"]) == ("done", {"created": 3}, "苏州")
    assert str(line["at"]).endswith("+00:00")


def test_what_is_below_the_level_is_not_said(lines: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.get("http").debug("quiet")
    logs.get("http").warning("loud")
    assert [line["event"] for line in read(lines)] == ["loud"]


def test_an_exception_is_told_by_its_type_alone(lines: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    try:
        raise ValueError("a secret")
    except ValueError:
        logs.get("http").exception("failed")
    (line,) = read(lines)
    assert line["error"] == "ValueError"
    assert "secret" not in json.dumps(line)
