"""The Prefect flow `reconcile`: a sync that reads everything again and looks into the tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.pipeline import Options
from flows.reconcile import MOST_CALLS, Reconciliation
from flows.reconciled import Place, Report, mentions, places
from flows.service_runs import stand_in
from flows.settings import settings
from flows.sync import MOST_ROWS, Work, carry_out, final, opened
from flows.sync_approval import follow
from state.hub import open_hub


@task(name="look into the tools", cache_policy=NO_CACHE, persist_result=False)
async def look_into_tools(work: Work, reconciliation: Reconciliation) -> None:
    """Compare the projects in the tools with what was last written, settle what is stale, keep the report."""
    await reconciliation.finish(work.session, work.summary)


def _name() -> str:
    parameters: dict[str, Any] = flow_run.get_parameters()
    return f"reconcile {Path(parameters['folder']).absolute().name}{', forced' if parameters.get('force') else ''}"


@flow(name="reconcile", flow_run_name=_name, persist_result=False, log_prints=False)
async def reconcile(
    folder: str = ".", state: str | None = None, most_calls: int = MOST_CALLS, force: bool = False, approve: str = ""
) -> State[Any]:
    """Sync, and read everything again: find the changes that polling and push missed, tell what is gone and what people changed in the tools.

    Args:
        folder: The folder with rules.yaml and mappings/.
        state: The state, if it is not state/data/handoff.db in the folder: a file. An address with a password belongs into $HANDOFF_STATE.
        most_calls: About how many calls each system may be asked; the rest follows the next time.
        force: Carry out what was missed although it is above the limits.
        approve: Digest of the plan to carry out, limits or not.
    """
    where = settings(Path(folder), state)
    await stand_in()
    async with opened(where) as session:
        with closing(open_hub(where.state, now=session.runtime.clock())) as hub:
            reconciliation = Reconciliation(session, hub, most_calls=most_calls)
            work = Work(session, reconciliation.options(Options(force=force, approve=approve)))

            async def then(work: Work) -> None:
                await look_into_tools(work, reconciliation)

            await carry_out(work, then)
            if not work.summary.helps:
                await _show(reconciliation.report)
    await follow(where)
    return final(work.summary)


# what people see


async def _show(report: Report) -> None:
    changed = [one for tool in report.tools.values() for one in tool.changed]
    tables = {
        "missed": ("Changes that had been missed", map(asdict, mentions(report, "missed"))),
        "hidden": ("Not visible any more in the CRM", map(asdict, mentions(report, "hidden"))),
        "drift": (
            "Changed by people, and kept",
            ({**_object(one.place), "field": one.field, "ours": one.ours, "theirs": one.theirs} for one in changed),
        ),
        "gone": ("Gone in the tool, and not made again", map(_object, places(report, "gone"))),
        "twice": ("There twice with one key", ({**_object(one), "others": ", ".join(one.others)} for one in places(report, "twice"))),
    }
    for key, (title, found) in tables.items():
        await _table(key, title, found)
    await acreate_markdown_artifact(_story(report), key="reconciled", description=f"Run {report.run}")


async def _table(key: str, title: str, found: Iterable[Mapping[str, Any]]) -> None:
    rows = [dict(row) for row in found]
    if rows:
        await acreate_table_artifact(rows[:MOST_ROWS], key=key, description=f"{title}: {len(rows)}")


def _object(place: Place) -> dict[str, str]:
    return {
        "tool": place.tool,
        "project": place.project,
        "kind": place.kind,
        "name": place.name,
        "where": place.url,
        "record": place.source,
    }


def _story(report: Report) -> str:
    lines = [f"## {report.line()}", ""]
    for name, crm in report.crms.items():
        for kind, one in crm.kinds.items():
            lines.append(
                f"- {name}: {one.shown} {kind}s listed{'' if one.whole else ', not through yet'}, {one.hidden} known ones not visible"
            )
        lines += [f"- **{name}: {note}**" for note in crm.notes]
        lines += [f"- missed: {_linked(one.title or one.source, one.url)}: {one.what}" for one in crm.missed[:20]]
        lines += [f"- not visible any more: {_linked(one.title or one.source, one.url)}" for one in crm.hidden[:20]]
        lines += [f"- visible again: {_linked(one.title or one.source, one.url)}" for one in crm.back[:20]]
    for name, tool in report.tools.items():
        lines.append(
            f"- {name}: {tool.checked} of {tool.projects} projects looked at, {tool.left} left for the next time, {tool.calls} calls"
        )
        lines += [f"- gone in {name}: {one.kind} {_linked(one.name, one.url)}" for one in tool.gone[:20]]
        lines += [f"- back in {name}: {one.kind} {_linked(one.name, one.url)}" for one in tool.back[:20]]
    if report.told:
        lines.append(f"- **{report.told}**")
    return "\n".join(lines)


def _linked(name: str, url: str) -> str:
    text = "".join(f"\\{char}" if char in "\\[]<>*_`|" else char for char in name)
    return f"[{text}]({url})" if url.startswith(("http://", "https://")) else text
