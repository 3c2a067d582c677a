"""`explain`, `status`, `history`: why something exists or does not, what waits, what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from connectors.base import ConfigError
from engine.model import Problem
from flows import show
from flows.command.common import Folder, Json, Screen, StateFile, advice, loaded, open_store, where
from flows.explain import Explanation, RuleSays, Standing, explain_record, standing
from flows.view import plain
from state import Run


def explain(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A deal or customer (its id or salesforce:deal:006…), a key, or a project's URL or id.")
    ],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Say why a project or task exists, or why a deal made none: each rule's condition with the values it saw, and what was done."""
    with advice(as_json):
        there = where(folder, state)
        ready = loaded(there, connected=False)
        with open_store(there, read_only=True) as store:
            found = explain_record(store, ready.configuration, what)
        if found is None:
            raise ConfigError([Problem(f"nothing is known about {what}: no record, key, project id or URL like that was seen")])
        Screen(as_json).show(_explained(found), found.data())


_MARKS = {"holds": ("✓", "green"), "fails": ("✗", "red"), "error": ("!", "red"), "off": ("–", "dim")}


def _explained(found: Explanation) -> Group:
    parts: list[RenderableType] = [Text.assemble((plain(found.title), "bold"), f"  {found.source}")]
    parts += [Text(line) for line in found.item]
    if found.facts:
        parts.append(Padding(Text(" · ".join(found.facts), style="dim"), (0, 0, 0, 2), expand=False))
    rules = show.entries(
        "Each rule, so far and on what is known now",
        [_rule(rule) for rule in found.rules],
        empty="No rule is about this kind of record.",
    )
    trail = show.entries(
        "What happened, newest first", [_event(entry) for entry in found.trail], empty="Nothing since the baseline recorded it."
    )
    projects = show.entries(
        "Its projects",
        [(_named(project), (project["why"], project["state"], project["url"])) for project in found.projects],
        empty="It has no project.",
    )
    asked = [show.approval(each) for each in found.approvals]
    approvals = [show.entries("A person's word", asked, empty=""), Text()] if asked else []
    return Group(*parts, Text(), rules, Text(), *approvals, trail, Text(), projects)


def _named(project: Mapping[str, Any]) -> Text:
    return Text.assemble(plain(project["key"]), (f"  in {project['target']}", "dim"))


def _rule(rule: RuleSays) -> tuple[Text, tuple[str, ...]]:
    mark, style = _MARKS[rule.outcome]
    head = Text.assemble((f"{mark} ", style), (rule.name, "bold"), (f"  {rule.place}, wakes on {', '.join(rule.on)}", "dim"))
    return head, (rule.so_far, f"now: {rule.reason}")


def _event(entry: Mapping[str, Any]) -> tuple[Text, tuple[str, ...]]:
    when, about = entry["at"][:19].replace("T", " "), " · ".join(part for part in (entry["event"], entry["rule"]) if part)
    return Text.assemble(f"{when} UTC  ", (entry["verdict"], "bold"), f"  {about}"), (entry["reason"], entry["key"])


def status(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Show where things stand: what is known, what was made, what waits and why."""
    with advice(as_json), open_store(where(folder, state), read_only=True) as store:
        found = standing(store)
        Screen(as_json).show(_status(found), found.data())


def _status(found: Standing) -> Group:
    counts = found.counts
    known = ", ".join(show.counted(count, kind) for kind, count in found.known.items())
    doubt = f" ({counts['in_doubt']} with a lost answer)" if counts["in_doubt"] else ""
    going = "; the next sync goes on with them" if counts["open"] else ""
    going += ", as far as they do not wait for what is below" if going and counts["parked"] else ""
    return Group(
        Text.assemble(("Known: ", "bold"), known or "nothing yet"),
        Text.assemble(("Made: ", "bold"), f"{show.counted(counts['projects'], 'project')}, {counts['published']} visible to people"),
        Text.assemble(("Last run: ", "bold"), found.last_run or "none"),
        *([Padding(Text(found.last_error, style="red"), (0, 0, 0, 2), expand=False)] if found.last_error else []),
        *([Text.assemble(("Reconciled: ", "bold"), found.reconciled)] if found.reconciled else []),
        Text.assemble(("Open: ", "bold"), f"{show.counted(counts['open'], 'action')}{doubt}{going}"),
        *([Text(), show.in_doubt(found.doubts)] if found.doubts else []),
        *([Text(), show.traffic(found.traffic)] if found.traffic else []),
        Text(),
        *([show.approvals(found.data()["approvals"]), Text()] if found.approvals else []),
        *([show.waiting(found.waiting)] if found.waiting or not found.approvals else []),
    )


def history(
    folder: Folder = None,
    state: StateFile = None,
    run: Annotated[str, typer.Option("--run", help="Show this run's audit trail.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many rows.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs, newest first, or one run's audit trail."""
    with advice(as_json), open_store(where(folder, state), read_only=True) as store:
        if run:
            trail = store.audit(run=run, limit=limit)
            shown = [(_headed(entry), (entry["reason"], entry["key"])) for entry in trail]
            Screen(as_json).show(show.entries(f"Run {run}, newest first", shown, empty="No such run, or nothing happened."), trail)
            return
        runs = store.runs(limit)
        Screen(as_json).show(
            show.entries("Runs, newest first", [_run(run) for run in runs], empty="No run yet."),
            [
                {"run": r.id, "started": r.started_at, "ended": r.ended_at, "result": r.outcome, "counts": dict(r.counts), "error": r.error}
                for r in runs
            ],
        )


def _headed(entry: Mapping[str, Any]) -> Text:
    head, _ = _event(entry)
    return Text.assemble(head, f"  {entry['source']}" if entry["source"] else "")


def _run(run: Run) -> tuple[Text, tuple[str, ...]]:
    told = ", ".join(f"{count} {what}" for what, count in run.counts.items() if count and not what.startswith(("calls", "created ")))
    head = Text.assemble((run.id, "bold"), f"  {run.started_at:%Y-%m-%d %H:%M:%S} UTC  ", (run.outcome or "interrupted", "bold"))
    return head, (told, run.error)
