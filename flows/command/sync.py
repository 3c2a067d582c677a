"""`check`, `plan`, `sync`: is the configuration right, what would happen, make it happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from connectors.base import ConfigError, ConnectorError, Report, Runtime, Source, Target, UnsafePlan
from engine.model import Problem
from flows import seen, show
from flows.command.common import (
    Bars,
    Exit,
    Folder,
    Json,
    Screen,
    StateFile,
    advice,
    errors,
    exit_of,
    loaded,
    open_store,
    run,
    session,
    where,
)
from flows.configuration import Loaded, at, channel_problems, connection_problems
from flows.pipeline import Options, Summary, gather, run_sync
from flows.plan_data import plan_data
from flows.planning import excess
from flows.session import connect, worst
from flows.settings import Settings

Only = Annotated[
    list[str] | None, typer.Option("--only", help="Only this record, e.g. salesforce:deal:006… or just its id. May be repeated.")
]
Since = Annotated[
    datetime | None,
    typer.Option("--backfill", formats=["%Y-%m-%d"], help="Also act on what happened on or after this day.", metavar="SINCE"),
]


def check(
    folder: Folder = None,
    offline: Annotated[bool, typer.Option("--offline", help="Files only; connect to nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Check rules, mappings and blueprints, then the systems themselves: credentials, permissions, fields."""
    with advice(as_json):
        there = where(folder)
        ready = loaded(there, connected=not offline)
        if offline and (problems := [*connection_problems(ready.configuration), *channel_problems(ready.configuration)]):
            raise ConfigError(problems)
        warnings = ready.configuration.warnings
        reports, drifted = ({}, []) if offline else run(_reports(ready))
        rules, blueprints = len(ready.configuration.rules.rules), len(ready.configuration.blueprints)
        parts: list[Any] = [Text.assemble(("The configuration is fine: ", "green"), f"{rules} rules, {blueprints} blueprints")]
        for name, report in reports.items():
            parts.append(Text.assemble((name, "bold"), f": {report.identity}"))
            parts += [Text(f"  {fact}", style="dim") for fact in report.facts]
            parts += [Text(f"  {warning}", style="yellow") for warning in report.warnings]
        if drifted:
            parts += [Text("Changed since `handoff discover` looked:", style="yellow"), show.problems(drifted)]
        if warnings:
            parts += [Text("Worth a look:", style="yellow"), show.problems(warnings)]
        data = {
            "rules": rules,
            "blueprints": blueprints,
            "warnings": [str(warning) for warning in warnings],
            "changed": [str(problem) for problem in drifted],
            "systems": {name: {"identity": r.identity, "facts": r.facts, "warnings": r.warnings} for name, r in reports.items()},
        }
        Screen(as_json).show(Group(*parts), data)


async def _reports(ready: Loaded) -> tuple[dict[str, Report], list[Problem]]:
    """Ask every system; all their problems at once. And what has changed in them since `handoff discover` looked."""
    reports: dict[str, Report] = {}
    problems: list[Problem] = []
    drifted: list[Problem] = []
    others: list[ConnectorError] = []
    async with connect(ready, Runtime()) as (sources, targets):
        asked = [(name, "source", each) for name, each in sources.items()] + [(name, "target", each) for name, each in targets.items()]
        for name, side, system in asked:
            try:
                drifted += await _drift(ready, name, system)
                reports[f"{name} as a {side}" if name in sources and name in targets else name] = await system.check()
            except ConfigError as error:
                problems += [at(ready.configuration, name, problem) for problem in error.problems]
            except ConnectorError as error:
                others.append(error)
    first = worst(others) if others and not problems else None
    for other in others:
        if other is not first:
            errors().print(Text(f"{other.system}: {other}", style="red"))
    if problems:
        told = {(problem.file, problem.line) for problem in problems}
        raise ConfigError([*problems, *(problem for problem in drifted if (problem.file, problem.line) not in told)])
    if first is not None:
        raise first
    return reports, drifted


async def _drift(ready: Loaded, name: str, system: Source | Target) -> list[Problem]:
    known = seen.read(ready.folder, name)
    if known is None:
        return []
    found = seen.drift(name, ready.configuration.mappings[name], known, await system.describe())
    return [at(ready.configuration, name, problem) for problem in found]


def plan(folder: Folder = None, state: StateFile = None, backfill: Since = None, only: Only = None, as_json: Json = False) -> None:
    """Show what a sync would do and why, and what it would pass over and why. Does none of it; records a first baseline."""
    with advice(as_json):
        there = where(folder, state)
        summary, reasons = run(_plan(there, Options(since=backfill.date() if backfill else None, only=tuple(only or ())), quiet=as_json))
        parts: list[Any] = [Text(line) for line in show.baseline(summary)]
        parts.append(show.plan(summary.plan))
        if reasons:
            parts.append(show.refusal(summary.plan, reasons, what="A sync would refuse this plan:"))
        elif summary.plan.actions:
            parts.append(Text(f"`handoff sync --approve {summary.plan.digest}` carries out exactly this.", style="dim"))
        if summary.failures:
            parts += [Text("Nothing is planned for what these would tell:", style="red"), *show.gave_out(summary)]
        data = {**plan_data(summary.plan), "baseline": dict(summary.baselined), "over_limits": reasons}
        Screen(as_json).show(Group(*parts), {**data, "failures": show.failures(summary)})
        if summary.failures:
            raise typer.Exit(exit_of(worst(summary.failures.values())))


async def _plan(there: Settings, options: Options, *, quiet: bool) -> tuple[Summary, list[str]]:
    configured = loaded(there)  # first: a configuration that is wrong leaves no state behind
    with open_store(there) as store, Bars(quiet=quiet) as bars:
        async with session(there, configured, store=store, bars=bars) as ready:
            try:
                pulled, planned = await gather(ready, _named(options, ready.sources))
            finally:
                ready.reader.end()
            reasons = excess(ready, planned)
            summary = Summary(ready.run, plan=planned, baselined=pulled.baselined, counts=pulled.counts, failures=ready.gave_out())
            _tell_missing(options, summary)
            return summary, reasons


def sync(
    folder: Folder = None,
    state: StateFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, like `handoff plan`.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Carry the plan out although it is above its limits.")] = False,
    approve: Annotated[
        str, typer.Option("--approve", help="Carry out exactly the plan with this digest, limits or not.", metavar="DIGEST")
    ] = "",
    backfill: Since = None,
    only: Only = None,
    wait: Annotated[
        int, typer.Option("--wait", help="Seconds to wait for lost answers to be settled before leaving them to the next run.")
    ] = 180,
    as_json: Json = False,
) -> None:
    """Pull changes, plan, apply, write progress back. Safe to repeat and to interrupt."""
    if dry_run:
        plan(folder, state, backfill, only, as_json)
        return
    with advice(as_json):
        there = where(folder, state)
        options = Options(
            force=force,
            approve=approve,
            since=backfill.date() if backfill else None,
            only=tuple(only or ()),
            patience=timedelta(seconds=wait),
        )
        summary = run(_sync(there, options, quiet=as_json))
        show_summary(summary, as_json=as_json)


async def _sync(there: Settings, options: Options, *, quiet: bool) -> Summary:
    configured = loaded(there)  # first: a configuration that is wrong leaves no state behind
    with open_store(there) as store, Bars(quiet=quiet) as bars:
        async with session(there, configured, store=store, bars=bars) as ready:
            summary = await run_sync(ready, _named(options, ready.sources))
            if isinstance(summary.error, ConfigError) and not ready.standing_sources:
                raise summary.error
            _tell_missing(options, summary)
            return summary


def show_summary(summary: Summary, *, as_json: bool) -> None:
    """Show a run's summary and leave with its exit code."""
    screen = Screen(as_json)
    shown = show.summary(summary)
    if isinstance(summary.error, UnsafePlan):
        number = summary.error.approval
        what = f"Nothing was done; the plan waits for approval {number}:" if number else "Refused; nothing was done:"
        refusal = show.refusal(summary.plan, summary.error.reasons, what=what, approval=number)
        shown = Group(show.plan(summary.plan), refusal, Text(), shown)
    code = exit_code(summary)
    screen.show(shown, {**show.as_data(summary), "exit_code": code.value})
    raise typer.Exit(code)


def exit_code(summary: Summary) -> Exit:
    """What a run's command ends with."""
    if summary.error is not None:
        return exit_of(summary.error)
    if summary.result == "stopped":
        return Exit.STOPPED
    return Exit.ATTENTION if summary.result in ("with errors", "waiting") else Exit.OK


def _named(options: Options, sources: Mapping[str, Source]) -> Options:
    """`--only 006…` means that deal, where one source reads deals; `salesforce:customer:001…` says it all. Raises ConfigError for what no source
    has, or several may have."""
    if not options.only:
        return options
    owners = [name for name, source in sources.items() if "deal" in source.kinds]
    bare = [name for name in options.only if name.count(":") < 2]
    if bare and len(owners) > 1:
        hint = f"say whose: {' or '.join(f'{owner}:deal:{bare[0]}' for owner in owners)}"
        raise ConfigError([Problem(f"--only {name}: several sources read deals", hint=hint) for name in bare])
    only = tuple(name if name not in bare else f"{next(iter(owners or sources))}:deal:{name}" for name in options.only)
    known = [f"{name}:{kind}" for name, source in sources.items() for kind in source.kinds]
    wrong = [name for name in only if ":".join(name.split(":", 2)[:2]) not in known]
    if wrong:
        hint = f"they begin with {', '.join(known)}"
        raise ConfigError([Problem(f"--only {name}: no source has such records", hint=hint) for name in wrong])
    return replace(options, only=only)


def _tell_missing(options: Options, summary: Summary) -> None:
    if options.only and not summary.counts["read"] and summary.error is None:
        errors().print(Text("the CRM has no such record, or the integration's user may not see it", style="yellow"))
