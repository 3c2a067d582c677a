"""`explain`, `status`, `history`: why something exists or does not, what waits, what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows import show
from flows.command.common import Exit, Folder, Json, Screen, StateFile, advice, errors, loaded, open_store, where
from flows.explain import Explanation, Standing, explain_record, standing
from flows.view import plain
from state import Run


def explain(
    what: Annotated[str, typer.Argument(help="A deal or customer (its id or salesforce:deal:006…), a key, or a project's URL or id.")],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Say why a project or task exists, or why a deal made none: each rule's condition with the values it saw, and what was done."""
    with advice():
        there = where(folder, state)
        ready = loaded(there, connected=False)
        with open_store(there, read_only=True) as store:
            found = explain_record(store, ready.configuration, what)
        if found is None:
            errors.print(Text(f"nothing is known about {what}: no record, key, project id or URL like that was seen", style="red"))
            raise typer.Exit(Exit.CONFIG)
        Screen(as_json).show(_explained(found), found.data())


def _explained(found: Explanation) -> Group:
    parts: list[Any] = [Text.assemble((found.source, "bold cyan"), f"  {plain(found.title)}")]
    if found.item:
        parts += [Text(line) for line in found.item]
    if found.facts:
        parts.append(Text("  " + " · ".join(found.facts), style="dim"))
    if found.rules:
        table = Table(title="Each rule, on what is known now", title_justify="left", title_style="bold")
        for column in ("Rule", "Wakes on", "Condition", "On these values"):
            table.add_column(column, overflow="fold")
        for rule in found.rules:
            style = {"holds": "green", "fails": "red"}.get(rule.outcome, "yellow")
            table.add_row(
                f"{rule.name}\n{rule.place}", ", ".join(rule.on), Text(f"{rule.outcome}: {rule.reason}", style=style), rule.values
            )
        parts += [Text(), table]
    parts += [
        Text(),
        show.rows(
            "What happened",
            ("When (UTC)", "Event", "Rule", "Verdict", "Why", "Key"),
            [(e["at"][:19].replace("T", " "), e["event"], e["rule"], e["verdict"], e["reason"], e["key"]) for e in found.trail],
            empty="Nothing happened since the baseline recorded it.",
        ),
        Text(),
        show.rows(
            "Its projects",
            ("Key", "Made by", "State", "Where"),
            [(p["key"], p["why"], p["state"], p["url"]) for p in found.projects],
            empty="It has no project.",
        ),
    ]
    return Group(*parts)


def status(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Show where things stand: what is known, what was made, what waits and why."""
    with advice(), open_store(where(folder, state), read_only=True) as store:
        found = standing(store)
        Screen(as_json).show(_status(found), found.data())


def _status(found: Standing) -> Group:
    counts = found.counts
    known = ", ".join(show.counted(count, kind) for kind, count in found.known.items())
    doubt = f" ({counts['in_doubt']} with a lost answer)" if counts["in_doubt"] else ""
    going = "; the next sync goes on with them" if counts["open"] else ""
    return Group(
        Text.assemble(("Known: ", "bold"), known or "nothing yet"),
        Text.assemble(("Made: ", "bold"), f"{show.counted(counts['projects'], 'project')}, {counts['published']} visible to people"),
        Text.assemble(("Last run: ", "bold"), found.last_run or "none"),
        Text.assemble(("Open: ", "bold"), f"{show.counted(counts['open'], 'action')}{doubt}{going}"),
        Text(),
        show.rows(
            "Waiting for a person (`handoff resolve NUMBER retry|dismiss|adopt`)",
            ("Number", "What", "Key", "Why"),
            [(row["number"], row["op"], row["key"], row["error"]) for row in found.parked],
            empty="Nothing waits for a person.",
        ),
        *_more("Refused by the CRM (`handoff retry` tries again)", found.refused),
        *_more("Looked at again on the next run", found.recheck),
    )


def _more(title: str, lines: Mapping[str, str]) -> list[RenderableType]:
    return [Text(), show.rows(title, ("Record", "Why"), list(lines.items()), empty="")] if lines else []


def history(
    folder: Folder = None,
    state: StateFile = None,
    run: Annotated[str, typer.Option("--run", help="Show this run's audit trail.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many rows.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs, newest first, or one run's audit trail."""
    with advice(), open_store(where(folder, state), read_only=True) as store:
        if run:
            trail = store.audit(run=run, limit=limit)
            lines = [(e["at"][:19].replace("T", " "), e["source"], e["event"], e["rule"], e["verdict"], e["reason"]) for e in trail]
            table = show.rows(
                f"Run {run}", ("When (UTC)", "Record", "Event", "Rule", "Verdict", "Why"), lines, empty="No such run, or nothing happened."
            )
            Screen(as_json).show(table, trail)
            return
        runs = store.runs(limit)
        Screen(as_json).show(
            show.rows("Runs", ("Run", "Started (UTC)", "Result", "What", "Error"), [_run_row(run) for run in runs], empty="No run yet."),
            [
                {"run": r.id, "started": r.started_at, "ended": r.ended_at, "result": r.outcome, "counts": dict(r.counts), "error": r.error}
                for r in runs
            ],
        )


def _run_row(run: Run) -> tuple[str, ...]:
    told = ", ".join(f"{count} {what}" for what, count in run.counts.items() if count and not what.startswith(("calls", "created ")))
    return (run.id, f"{run.started_at:%Y-%m-%d %H:%M:%S}", run.outcome or "interrupted", told, run.error)
