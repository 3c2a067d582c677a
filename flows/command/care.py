"""`retry`, `resolve`, `state`: parked work and the state file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from connectors.base import ConfigError, utc_now
from engine.model import Problem
from flows.command.common import Exit, Folder, Json, Screen, StateFile, advice, errors, open_store, where
from state import Intent, Note, Outbox, Store
from state.care import Health, backup, compact, verify


class How(StrEnum):
    RETRY = "retry"
    DISMISS = "dismiss"
    ADOPT = "adopt"


def retry(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Try everything again that waits for a person. The next sync does it."""
    with advice(), open_store(where(folder, state), existing=True) as store:
        outbox, now = Outbox(store), utc_now()
        parked = outbox.parked()
        with store.transaction():
            for intent in parked:
                outbox.retry(intent.seq, now)
            rows = store.retry_back()
        Screen(as_json).show(
            Text(f"{len(parked)} actions and {rows} write-backs will be tried again."), {"retried": len(parked), "write_back": rows}
        )


def resolve(
    number: Annotated[int, typer.Argument(help="The number `handoff status` shows.")],
    how: Annotated[How, typer.Argument(help="retry it, dismiss it for good, or adopt an object that is there already.")],
    remote: Annotated[str, typer.Option("--id", help="With adopt: the object's id in the tool.")] = "",
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Decide about one parked action."""
    with advice(), open_store(where(folder, state), existing=True) as store:
        outbox = Outbox(store)
        intent = next((intent for intent in outbox.parked() if intent.seq == number), None)
        if intent is None:
            errors().print(Text(f"nothing parked has the number {number}; `handoff status` lists what waits", style="red"))
            raise typer.Exit(Exit.CONFIG)
        if how is How.ADOPT and (not remote or intent.op != "create"):
            raise ConfigError([Problem("adopt needs --id and a parked creation")])
        with store.transaction():
            _decide(store, outbox, intent, how, remote)
        told = {How.RETRY: "will be tried again", How.DISMISS: "is dismissed", How.ADOPT: f"is taken to be {remote}"}[how]
        Screen(as_json).show(Text(f"{intent.op} {intent.key} {told}."), {"number": number, "key": intent.key, "how": how.value})


def _decide(store: Store, outbox: Outbox, intent: Intent, how: How, remote: str) -> None:
    now, link = utc_now(), outbox.links([intent.key])[intent.key]
    match how:
        case How.RETRY:
            outbox.retry(intent.seq, now)
        case How.DISMISS:
            outbox.dismiss(intent.seq, now)
        case How.ADOPT:
            outbox.adopt(intent.seq, remote, now)
    store.note("", [Note(link.source, link.event, link.rule, f"resolved: {how.value}", intent.error, intent.key)], now)


keeping = typer.Typer(no_args_is_help=True, help="Verify, back up and compact the state file.")


@keeping.command("verify")
def verify_state(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Check the file and what is in it. Exit code 6 when something is wrong."""
    with advice(), open_store(where(folder, state), read_only=True) as store:
        health = verify(store)
        Screen(as_json).show(_health(health), {"ok": health.ok, "problems": health.problems, "counts": health.counts})
        raise typer.Exit(Exit.OK if health.ok else Exit.STATE)


def _health(health: Health) -> Text:
    told = ", ".join(f"{count} {table}" for table, count in health.counts.items())
    if health.ok:
        return Text.assemble(("The state is sound: ", "green"), told)
    return Text("\n".join(["The state has problems:", *(f"  {problem}" for problem in health.problems)]), style="red")


@keeping.command("backup")
def backup_state(
    to: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Write a consistent copy, also while a sync runs."""
    with advice(), open_store(where(folder, state), read_only=True) as store:
        size = backup(store, to)
        Screen(as_json).show(Text(f"Wrote {to}, {size:,} bytes."), {"file": str(to), "bytes": size})


@keeping.command("compact")
def compact_state(
    folder: Folder = None,
    state: StateFile = None,
    keep_days: Annotated[
        int, typer.Option("--keep-days", min=1, help="History younger than this stays. Links and snapshots always stay.")
    ] = 180,
    as_json: Json = False,
) -> None:
    """Drop old history and give the space back."""
    with advice(), open_store(where(folder, state), existing=True) as store:
        gone, before, after = compact(store, keep_days=keep_days, now=utc_now())
        data: dict[str, Any] = {"rows": gone, "bytes_before": before, "bytes_after": after}
        Screen(as_json).show(Text(f"Dropped {gone:,} rows; {before:,} → {after:,} bytes."), data)
