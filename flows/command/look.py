"""`explain`, `status`, `history`: why something exists or does not, what waits, what happened."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows import show
from flows.command.common import Exit, Folder, Json, Screen, StateFile, advice, errors, loaded, open_store, where
from flows.explain import Explanation, explain_record
from flows.view import plain


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
        from state import Outbox  # noqa: PLC0415 - keeps the names of this module about showing

        outbox = Outbox(store)
        counts, known, parked, back = outbox.counts(), store.count_snapshots(), outbox.parked(), store.parked_back()
        rechecks = [(system, kind, id_, why) for (system, kind) in known for id_, why in store.recheck(system, kind).items()]
        last = store.runs(1)
        parts: list[Any] = [
            Text.assemble(("Known: ", "bold"), ", ".join(f"{n} {kind}s of {system}" for (system, kind), n in known.items()) or "nothing")
        ]
        parts.append(Text.assemble(("Made: ", "bold"), f"{counts['projects']} projects, {counts['published']} of them visible to people"))
        if last:
            ended = f"{last[0].ended_at:%Y-%m-%d %H:%M:%S} UTC" if last[0].ended_at else "not ended"
            parts.append(Text.assemble(("Last run: ", "bold"), f"{last[0].id}, {last[0].outcome or 'interrupted'}, {ended}"))
        parts.append(
            Text.assemble(
                ("Open: ", "bold"),
                f"{counts['open']} actions",
                f" ({counts['in_doubt']} with a lost answer)" if counts["in_doubt"] else "",
                "; the next sync goes on with them" if counts["open"] else "",
            )
        )
        waiting = [(i.seq, i.op, i.key, i.error) for i in parked]
        parts += [
            Text(),
            show.rows("Waiting for a person (`handoff resolve NUMBER`)", ("Number", "What", "Key", "Why"), waiting, empty="Nothing waits."),
        ]
        if back:
            parts += [
                Text(),
                show.rows(
                    "Refused by the CRM", ("Record", "Why"), [(f"{r['system']}:{r['kind']}:{r['id']}", r["error"]) for r in back], empty=""
                ),
            ]
        if rechecks:
            lines = [(f"{system}:{kind}:{id_}", why) for system, kind, id_, why in rechecks]
            parts += [Text(), show.rows("Looked at again on the next run", ("Record", "Why"), lines, empty="")]
        data = {
            "known": {f"{system}:{kind}": n for (system, kind), n in known.items()},
            "counts": counts,
            "last_run": last[0].id if last else None,
            "parked": [{"number": i.seq, "op": i.op, "key": i.key, "error": i.error} for i in parked],
            "write_back_parked": back,
            "recheck": [{"record": f"{s}:{k}:{i}", "why": w} for s, k, i, w in rechecks],
        }
        Screen(as_json).show(Group(*parts), data)


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
        data = [
            {"run": r.id, "started": r.started_at, "ended": r.ended_at, "result": r.outcome, "counts": dict(r.counts), "error": r.error}
            for r in runs
        ]
        lines = [
            (r.id, f"{r.started_at:%Y-%m-%d %H:%M:%S}", r.outcome or "interrupted",
             ", ".join(f"{n} {what}" for what, n in r.counts.items() if n and not what.startswith(("calls", "created "))), r.error)
            for r in runs
        ]  # fmt: skip
        Screen(as_json).show(show.rows("Runs", ("Run", "Started (UTC)", "Result", "What", "Error"), lines, empty="No run yet."), data)
