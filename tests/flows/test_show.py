"""What people see, on narrow and wide terminals, in any script, with and without colour, and in a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest

from tests.flows.desk import HANDOFF, Desk

NAMES = [
    "上海远洋集团有限公司 交付",
    "شركة الأفق",
    "Zoë\u202e\x1b[31m & <b>Söhne</b> 🚀👩‍👩‍👧",
    'Quote "Q"\nnext [bold]line[/bold]',
    "x" * 120,
]


@pytest.fixture
def deals(desk: Desk) -> list[str]:
    found = [desk.world.deal(name) for name in NAMES] + [desk.world.deal("Small", Amount=10)]
    desk.do("sync")
    for deal in found:
        desk.world.win(deal)
    return found


def on_terminal(desk: Desk, *words: str, columns: int, **env: str) -> str:
    """What a verb writes to a terminal of this width."""
    try:
        master, slave = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo-terminals")
    command = [str(HANDOFF), *words, "-C", str(desk.folder)]
    shown = {**desk.env, "TERM": "xterm-256color", "COLUMNS": str(columns), **env}
    process = subprocess.Popen(command, env=shown, stdout=slave, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)  # noqa: S603
    os.close(slave)
    raw = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        raw += more
    os.close(master)
    assert process.wait(timeout=30) == 0
    return raw.decode()


@pytest.mark.parametrize("columns", ["20", "60", "200"])
def test_every_view_fits_any_width_and_any_script(desk: Desk, deals: list[str], columns: str) -> None:
    planned = desk.do("plan", COLUMNS=columns)
    assert planned.exit_code == 0
    desk.do("sync", COLUMNS=columns)
    for words in (
        ["status"],
        ["history"],
        ["explain", deals[0]],
        ["explain", deals[2]],
        ["history", "--run", desk.told("history")[0]["run"]],
    ):
        done = desk.do(*words, COLUMNS=columns)
        assert done.exit_code == 0, (words, done.output)
        assert "\x1b" not in done.output
        assert "\u202e" not in done.output
    if columns == "200":
        assert NAMES[0] in planned.output
        assert "[bold]line[/bold]" in planned.output


def test_a_terminal_gets_colour_unless_it_asks_for_none_and_a_pipe_gets_none(desk: Desk, deals: list[str]) -> None:
    assert deals
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(on_terminal(desk, "plan", columns=100))
    assert not colour.search(on_terminal(desk, "plan", columns=100, NO_COLOR="1"))
    code, out, err = desk.run("plan")
    assert code == 0
    assert "\x1b" not in out + err


def test_no_name_of_a_record_reaches_the_terminal_as_a_command(desk: Desk, deals: list[str]) -> None:
    assert deals
    shown = on_terminal(desk, "plan", columns=60, NO_COLOR="1")
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown


def test_one_is_one_and_two_are_many(desk: Desk) -> None:
    desk.world.deal()
    assert "1 deal recorded" in desk.do("plan").output
    assert "1 salesforce deal" in desk.do("status").output
