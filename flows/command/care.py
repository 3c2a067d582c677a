"""`retry`, `resolve`: what waits for a person."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from connectors.base import Remote, Runtime, utc_now
from flows.command.common import Folder, Json, Screen, StateFile, advice, loaded, open_store, run, where, who
from flows.resolve import decide, find, seek, settled
from flows.waiting import Waiting, waiting
from state import Notices


class How(StrEnum):
    RETRY = "retry"
    DISMISS = "dismiss"
    ADOPT = "adopt"


_TOLD = {
    How.RETRY: "will be tried again by the next sync",
    How.DISMISS: "is dismissed for good",
    How.ADOPT: "is taken for done",
}


def retry(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Try everything again that waits for a person. The next sync does it."""
    with advice(as_json), open_store(where(folder, state), existing=True) as store:
        again = [one for one in waiting(store) if "retry" in one.ways]
        with store.transaction():
            for one in again:
                decide(store, one, "retry", by=who(), now=utc_now())
            messages = Notices(store).retry(utc_now())
        actions = sum(one.action is not None for one in again)
        rows = len(again) - actions
        told = f", and {messages} messages" if messages else ""
        text = Text(f"{actions} actions and {rows} write-backs{told} will be tried again.")
        Screen(as_json).show(text, {"retried": actions, "write_back": rows, "messages": messages})


def resolve(
    ref: Annotated[str, typer.Argument(help="The number or name `handoff status` shows.", metavar="NUMBER")],
    how: Annotated[How, typer.Argument(metavar="HOW", help="retry it, dismiss it for good, or adopt an object that is there already.")],
    remote: Annotated[
        str, typer.Option("--id", help="With adopt: the object's id or address in the tool. Without it, the candidates are shown.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Dismiss without asking.")] = False,
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Decide about one thing that waits for a person: an action, a refused write-back, a record no rule could be worked out for."""
    with advice(as_json):
        there = where(folder, state)
        with open_store(there, existing=True) as store:
            if (before := settled(store, ref, how.value)) is not None:
                told = f"{ref} was decided already: it {_TOLD[how]}."
                Screen(as_json).show(Text(told), {"number": before.seq, "ref": ref, "key": before.key, "how": how.value, "again": True})
                return
            one = find(store, ref)
            found = run(seek(loaded(there), store, one, remote, Runtime())) if how is How.ADOPT else None
            if how is How.DISMISS and not (yes or as_json) and sys.stdin.isatty():
                typer.confirm(f"{one.what}: {one.leaves}. Dismiss it for good?", abort=True)
            decide(store, one, how.value, by=who(), now=utc_now(), remote=found)
            Screen(as_json).show(_decided(one, how, found), _decision(one, how, found))


def _decided(one: Waiting, how: How, found: Remote | None) -> Text:
    told = Text.assemble((one.ref, "bold"), f"  {one.what}: {_TOLD[how]}.")
    if found is not None:
        told.append(f"\n    it is {found.url or found.id}", style="dim")
    if how is How.DISMISS:
        told.append(f"\n    {one.leaves}", style="dim")
    return told


def _decision(one: Waiting, how: How, found: Remote | None) -> dict[str, Any]:
    data: dict[str, Any] = {"ref": one.ref, "how": how.value, "source": one.source, "what": one.what}
    if one.action is not None:
        data |= {"number": one.action.seq, "key": one.action.key}
    return {**data, **({"object": found.url or found.id} if found else {})}
