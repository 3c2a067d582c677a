"""`state`: verify, back up, restore, compact and copy what Handoff remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from connectors.base import StateError, utc_now
from flows.command.common import Bars, Exit, Folder, Json, Screen, StateFile, advice, open_store, where
from state.care import Health, backup, compact, verify
from state.copy import copy
from state.restore import restore

keeping = typer.Typer(no_args_is_help=True, help="Verify, back up, restore, compact and copy the state.")


@keeping.command("verify")
def verify_state(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Check the state, and that its tables agree with each other. Exit code 6 when something is wrong."""
    with advice(as_json), open_store(where(folder, state), read_only=True) as store:
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
    to: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist.")],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Write a consistent copy of a state file, and of the hub's beside it, also while a sync runs."""
    with advice(as_json), open_store(where(folder, state), read_only=True) as store:
        sizes = backup(store, to, utc_now())
        told = "".join(f"Wrote {path}, {size:,} bytes.\n" for path, size in sizes.items())
        files = [{"file": str(path), "bytes": size} for path, size in sizes.items()]
        Screen(as_json).show(Text(told.rstrip()), {**files[0], "files": files})


@keeping.command("restore")
def restore_state(
    copy_: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that `handoff state backup` wrote.")],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the state file; what stood there is kept beside it. The next run looks for what was made since."""
    with advice():
        place = where(folder, state).state
        if not isinstance(place, Path):
            raise StateError(
                "this state is on a PostgreSQL server; restore it there, or `handoff state copy` the file into an empty schema"
            )
        done = restore(copy_, place, now=utc_now())
        kept = "".join(f" What stood there is {path}." for path in done.kept[:1])
        text = f"{copy_} is now the state.{kept} The next sync looks in the tools for what was made since, before it makes anything."
        hub = f"\n{_HUB_IS_BACK}" if done.hub else ""
        data = {"state": str(place), "from": str(copy_), "kept": str(next(iter(done.kept), "")), "hub": done.hub}
        Screen(as_json).show(Text(f"{text}{hub}"), data)


_HUB_IS_BACK = (
    "The hub's part was put back as well. What happened to it since is not known: look through `handoff access` for tokens that were taken away,"
    " through `handoff approvals` for plans that were answered, and run `handoff webhooks renew`."
)


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
    with advice(as_json), open_store(where(folder, state), existing=True) as store:
        gone, before, after = compact(store, keep_days=keep_days, now=utc_now())
        data: dict[str, Any] = {"rows": gone, "bytes_before": before, "bytes_after": after}
        Screen(as_json).show(Text(f"Dropped {gone:,} rows; {before:,} → {after:,} bytes."), data)


@keeping.command("copy")
def copy_state(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file, or postgresql://user@host/database.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Likewise; it must be new or empty.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Copy a state to another place, for good: from a file to PostgreSQL or back. Stop everything that uses it first."""
    with advice(as_json):
        now = utc_now()
        with (
            open_store(where(folder, source), existing=True) as ours,
            open_store(where(folder, target)) as theirs,
            Bars(quiet=as_json) as bars,
        ):
            rows = copy(ours, theirs, now=now, progress=bars)
            names = {"from": ours.db.name, "to": theirs.db.name}
        told = ", ".join(f"{count:,} {table}" for table, count in rows.items() if count)
        text = Text.assemble((f"Copied to {names['to']}, and compared: ", "green"), told or "nothing", ".")
        after = Text("Put its address into HANDOFF_STATE, and put the old one away: whoever uses both would do things twice.")
        Screen(as_json).show(Group(text, after), {**names, "rows": rows})
