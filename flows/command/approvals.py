"""`approvals`: what waits for a person's yes, what exactly it is, and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from connectors.base import ConfigError, utc_now
from engine.model import Problem
from flows import approving, show
from flows.command.common import Folder, Json, Screen, StateFile, advice, home, who
from flows.settings import Settings
from flows.view import plain
from state.approvals import Answer, Approval

asked = typer.Typer(invoke_without_command=True, help="What waits for a person's yes: list it, look at it, approve or reject it.")
Number = Annotated[int, typer.Argument(help="The number `handoff approvals` shows.", metavar="NUMBER", min=1)]
By = Annotated[str, typer.Option("--by", help="Who answers, where that is not the user of this machine.")]
Words = Annotated[str, typer.Option("--because", help="Why, for those who ask later.")]
Why = Annotated[str, typer.Option("--because", help="Why not, for those who ask later.")]
_DECIDED = {
    "approved": "is approved; the next sync carries out exactly this plan, and asks again if it has changed by then.",
    "rejected": "is rejected; nothing is made of it, and nobody is asked again unless something else would be done.",
}


@asked.callback()
def listed(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="What was answered before as well, newest first.")] = False,
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """List what waits for a person's yes."""
    if context.invoked_subcommand:
        return
    with advice(as_json):
        there, now = home(folder, state), utc_now()
        found = approving.recent(there.state, now) if everything else approving.waiting(there.state, now)
        data = [approving.data(one, now) for one in found]
        Screen(as_json).show(show.approvals(data) if not everything else _all(data), data)


def _all(data: Sequence[Mapping[str, Any]]) -> RenderableType:
    return show.entries("Asked so far, newest first", [show.approval(one) for one in data], empty="Nobody was ever asked.")


@asked.command("show")
def show_one(number: Number, folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Show what exactly is to be approved."""
    with advice(as_json):
        one, now = _find(home(folder, state), number), utc_now()
        Screen(as_json).show(_shown(one, approving.data(one, now)), {**approving.data(one, now), "plan": one.plan})


@asked.command("approve")
def approve(
    number: Number, because: Words = "", by: By = "", folder: Folder = None, state: StateFile = None, as_json: Json = False
) -> None:
    """Say yes to exactly the plan that is shown. The next sync carries it out."""
    with advice(as_json):
        _decide(number, "approved", because, by, home(folder, state), as_json)


@asked.command("reject")
def reject(number: Number, because: Why, by: By = "", folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Say no. Nothing is made of it; the reason is told to whoever asks."""
    with advice(as_json):
        _decide(number, "rejected", because, by, home(folder, state), as_json)


def _decide(number: int, answer: Answer, because: str, by: str, there: Settings, as_json: bool) -> None:
    one, again = _find(there, number), False
    if one.state_at(utc_now()) != "waiting":
        _refuse_other(one, answer)
        again = True
    else:
        one = approving.decide(there.state, number, answer, by=by or who(), words=because, now=utc_now())
    said = f"Approval {number} ({one.title}) {_DECIDED[answer]}"
    told = f"It was answered so already: {approving.told(one, utc_now())}" if again else said
    Screen(as_json).show(Text(plain(told)), {**approving.data(one, utc_now()), "again": again})


def _refuse_other(one: Approval, answer: Answer) -> None:
    state = one.state_at(utc_now())
    if ("approved" if state == "done" else state) != answer:
        told = approving.told(one, utc_now())
        raise ConfigError(
            [Problem(f"{one.number} does not wait for an answer any more; {told}", hint="`handoff approvals` lists what does")]
        )


def _find(there: Settings, number: int) -> Approval:
    found = approving.get(there.state, number, utc_now())
    if found is None:
        raise ConfigError([Problem(f"there is no approval {number}", hint="`handoff approvals` lists what waits")])
    return found


def _shown(one: Approval, data: Mapping[str, Any]) -> Group:
    """The plan as it was read when it was asked about: what is made, with its fields, and why."""
    head = show.entries("What is to be approved", [show.approval(data)], empty="")
    parts = [_action(action) for action in one.plan["actions"] if action["op"] != "publish"]
    parts += [_message(notice) for notice in one.plan.get("notices", ())]
    left = one.plan.get("left_out")
    more = [Text(f"  … and {left:,} more actions", style="dim")] if left else []
    counts = ", ".join(f"{count} × {what}" for what, count in sorted(one.plan["counts"].items()))
    total = Text.assemble(("Plan ", "bold"), (one.digest, "bold cyan"), f": {counts or 'no action'}")
    ways = Text(f"`handoff approvals approve {one.number}` or `handoff approvals reject {one.number} --because …`", style="yellow")
    return Group(head, Text(), *parts, *more, Text(), total, *([ways] if data["state"] == "waiting" else []))


def _action(action: Mapping[str, Any]) -> RenderableType:
    fields = action.get("fields") or action.get("changed") or {}
    name = fields.get("name") or fields.get("title") or action["key"]
    head = Text.assemble((f"{action['op']} {action['kind']} ", "green"), (plain(str(name)), "bold"), (f"  in {action['target']}", "dim"))
    told = [f"{what}: {plain(str(value))}" for what, value in fields.items() if what != "name" and value not in (None, "", [], {}, False)]
    lines = [Text(f"    {line}", style="dim", overflow="fold") for line in told]
    return Padding(Group(head, *lines), (0, 0, 0, 2), expand=False)


def _message(notice: Mapping[str, Any]) -> RenderableType:
    head = Text.assemble(("tell ", "green"), (plain(str(notice["channel"])), "bold"))
    return Padding(Group(head, Text(f"    {plain(str(notice['text']))}", style="dim", overflow="fold")), (0, 0, 0, 2), expand=False)
