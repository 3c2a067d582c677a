"""`reconcile`: find what was missed, tell what people changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from connectors.base import ConfigError, UnsafePlan
from flows import reconciled, show
from flows.command.common import Bars, Exit, Folder, Json, Screen, StateFile, advice, exit_of, loaded, open_store, run, session, where
from flows.command.sync import exit_code
from flows.pipeline import Options
from flows.reconcile import MOST_CALLS, Found, preview, run_reconcile
from flows.reconciled import Report
from flows.session import worst
from flows.settings import Settings
from state.hub import open_hub

_Entry = tuple[RenderableType, Sequence[str]]


def reconcile(
    folder: Folder = None,
    state: StateFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look and tell; take nothing in, remember nothing.")] = False,
    most_calls: Annotated[
        int, typer.Option("--most-calls", min=1, help="About how many calls each system may be asked; the rest follows the next time.")
    ] = MOST_CALLS,
    force: Annotated[bool, typer.Option("--force", help="Carry out what was missed although it is above the limits.")] = False,
    approve: Annotated[
        str, typer.Option("--approve", help="Carry out exactly the plan with this digest, limits or not.", metavar="DIGEST")
    ] = "",
    as_json: Json = False,
) -> None:
    """Sync, and read everything again: find the changes that polling and push missed, tell what is gone and what people changed in the tools."""
    with advice(as_json):
        found = run(_reconcile(where(folder, state), Options(force=force, approve=approve), most_calls, dry=dry_run, quiet=as_json))
        summary, report = found.summary, found.report
        code = _exit(found)
        if dry_run:
            parts: list[RenderableType] = [show.plan(summary.plan)]
            parts += (
                [show.refusal(summary.plan, found.over_limits, what="This plan would be refused:", verb="reconcile")]
                if found.over_limits
                else []
            )
            parts += show.gave_out(summary)
        else:
            parts = [show.summary(summary)]
            if isinstance(summary.error, UnsafePlan):
                parts.append(show.refusal(summary.plan, summary.error.reasons, what="Refused; nothing was done:", verb="reconcile"))
        data = {**show.as_data(summary), "report": report.data(), "exit_code": code.value}
        Screen(as_json).show(Group(*parts, Text(), *_told(report)), data)
        raise typer.Exit(code)


async def _reconcile(there: Settings, options: Options, most_calls: int, *, dry: bool, quiet: bool) -> Found:
    configured = loaded(there)  # first: a configuration that is wrong leaves no state behind
    with open_store(there) as store, Bars(quiet=quiet) as bars:
        async with session(there, configured, store=store, bars=bars) as ready:
            with closing(open_hub(there.state, now=ready.runtime.clock())) as hub:
                found = await (preview if dry else run_reconcile)(ready, hub, options, most_calls=most_calls)
            if isinstance(found.summary.error, ConfigError) and not ready.standing_sources:
                raise found.summary.error
            return found


def _exit(found: Found) -> Exit:
    failures = found.summary.failures
    return exit_code(found.summary) if found.summary.error or not failures else exit_of(worst(failures.values()))


def _told(report: Report) -> Iterator[RenderableType]:
    """The report, a section for everything there is something to say about."""
    yield Text.assemble(("Reconciled: ", "bold"), report.line())
    for name, crm in report.crms.items():
        for kind, one in crm.kinds.items():
            rest = "" if one.whole else ", not through yet"
            hidden = f", {one.hidden:,} known ones not visible" if one.hidden else ""
            yield Text(f"  {name}: {show.counted(one.shown, kind)} listed{rest}{hidden}", style="dim")
        yield from (Text(f"  {name}: {note}", style="yellow") for note in crm.notes)
    for name, tool in report.tools.items():
        parts = {"checked": tool.checked, "finished": tool.finished, "archived": tool.archived, "not shown any more": tool.lost}
        parts |= {"being changed": tool.busy, "left for later": tool.left}
        told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
        yield Text(f"  {name}: of {show.counted(tool.projects, 'project')} {told or 'none checked'}", style="dim")
    for title, entries in _sections(report):
        if entries:
            more = [(Text(f"… and {len(entries) - show.MOST_ROWS:,} more; --json has them"), ())] if len(entries) > show.MOST_ROWS else []
            yield Text()
            yield show.entries(title, [*entries[: show.MOST_ROWS], *more], empty="")


def _sections(report: Report) -> Iterator[tuple[str, list[_Entry]]]:
    for what, title in (
        ("missed", "Changes that had been missed"),
        ("hidden", "Not visible any more in the CRM"),
        ("back", "Visible again in the CRM"),
    ):
        yield title, [(Text(one.title or one.source), (one.what, one.url or one.source)) for one in reconciled.mentions(report, what)]
    changed = [one for tool in report.tools.values() for one in tool.changed]
    entries: list[_Entry] = [
        (_headed(one.place), (f"{one.field}: {one.ours or 'nothing'} → {one.theirs or 'nothing'}", one.place.url)) for one in changed
    ]
    yield "Changed by people, and kept", entries
    for what, title in (
        ("gone", "Gone in the tool, and not made again"),
        ("back", "Back in the tool"),
        ("moved", "Moved to another project"),
        ("twice", "There twice with one key"),
    ):
        yield title, [(_headed(one), (one.url, *one.others)) for one in reconciled.places(report, what)]


def _headed(place: Any) -> Text:
    of = "" if place.kind == "project" else f" in project {place.project}"
    return Text.assemble(f"{place.kind} ", (place.name, "bold"), of, (f"  {place.tool}", "dim"))
