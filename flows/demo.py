"""The whole job on loopback: a sandbox Salesforce, a sandbox Asana, a day of changes, the Prefect flow, and what came of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.text import Text

from connectors.base import Runtime, utc_now
from flows import report, show
from flows.board import Board
from flows.configuration import load
from flows.demo_data.load import load as load_sample
from flows.demo_data.load import play_day
from flows.demo_data.tables import look_through
from flows.demo_stay import stay
from flows.picture import pictures
from flows.pipeline import Options, Summary, gather, new_run_id, run_sync
from flows.pull import revive
from flows.session import Session, connect
from flows.settings import Settings
from flows.timeline import Timeline
from flows.view import ProjectView
from sandbox.asana import Asana
from sandbox.salesforce import Salesforce, load_csv
from sandbox.web import Sandbox, serve
from state import Store

ROOT = Path(__file__).parents[1]
SAMPLE, ANY = ROOT, ROOT / "flows" / "demo_data" / "any"
_PEOPLE = (
    *("clara.weiss", "jonas.brandt", "chen.haoran", "sato.ken", "priya.raman", "amelie.laurent"),
    *("tom.fischer", "grace.okafor", "james.oneill", "yue.lin", "delivery-desk"),
)


@dataclass(slots=True)
class Stage:
    """Where the demo plays: both sandboxes, its folder, its console."""

    salesforce: Salesforce
    asana: Asana
    where: Settings
    out: Path
    console: Console

    def say(self, title: str) -> None:
        self.console.print()
        self.console.print(Rule(Text(title, style="bold"), align="left"))

    def show(self, *what: RenderableType) -> None:
        for each in what:
            self.console.print(each)


async def play(out: Path, *, data: Path | None, staying: bool, console: Console, bars: Any) -> int:
    """The demo, from the first baseline to "nothing to do". Writes `out`/report.html. Gives the exit code."""
    async with _stage(out, data, console) as stage:
        shown = await (_any_data(stage, data, bars) if data else _sample(stage, bars))
        stage.say("Sync again")
        before = _visits(stage)
        again = await _flow(stage, bars)
        stage.show(show.summary(again), Text(f"  seen by the sandboxes: {_told(_visits(stage) - before)}", style="dim"))
        _farewell(stage, shown, data=data)
        if staying:
            await stay(stage.where.folder, stage.where.env, stage.salesforce, stage.console)
        return 0 if again.result == "nothing to do" else 1


async def _sample(stage: Stage, bars: Any) -> str:
    stage.say("1 · A CRM and a project tool, both on loopback")
    counts = load_sample(stage.salesforce)
    stage.show(f"Salesforce sandbox: {_counted(counts)}")
    stage.say("2 · First contact: the baseline records history and creates nothing")
    stage.show(show.summary(await _run(stage, Options(), bars)))
    stage.say("3 · A day in the CRM")
    for sentence in play_day(stage.salesforce, part="morning"):
        stage.show(Text(f"  • {sentence}"))
    stage.say("4 · The plan: what follows, why, and what does not")
    stage.show(await _plan(stage, bars))
    stage.say("5 · The Prefect flow carries it out")
    stage.show(show.summary(await _flow(stage, bars)))
    stage.say("6 · What the delivery team finds in Asana")
    views = await _views(stage)
    today = utc_now().date()
    first = max(views, key=lambda view: len(list(view.tasks)))
    stage.show(Board(first, today), "", Timeline(first, today))
    return _report(stage, views, "Handoff demo", of=len(views))


async def _any_data(stage: Stage, data: Path, bars: Any) -> str:
    stage.say(f"1 · {data} becomes a Salesforce org, on loopback")
    loaded = load_csv(stage.salesforce, data)
    without = sum(1 for row in stage.salesforce.org.rows("Opportunity") if not row["AccountId"])
    stage.show(f"{loaded.deals:,} deals ({without:,} without an account), {loaded.accounts} accounts, {loaded.line_items:,} line items")
    stage.say("2 · First contact: the baseline records history and creates nothing")
    stage.show(show.summary(await _run(stage, Options(), bars)))
    since = _last_month(stage.salesforce)
    won = sum(1 for row in stage.salesforce.org.rows("Opportunity") if row["IsWon"] and (row["CloseDate"] or "") >= since.isoformat())
    stage.say(f"3 · Backfill since {since}: {won:,} deals were won since then")
    refused = await _run(stage, Options(since=since), bars)
    stage.show(Text(f"Refused, as it should be: {refused.error}", style="yellow") if refused.error else show.summary(refused))
    stage.say("4 · The Prefect flow carries it out, forced")
    stage.show(show.summary(await _flow(stage, bars, backfill=since, force=True)))
    counts = _tally(stage)
    stage.show(
        f"Won since {since}: {won:,} · projects in Asana: {counts['projects']:,} · tasks: {counts['tasks']:,} · keys held twice: {counts['twice']}"
    )
    views = await _views(stage, most=50)
    if views:
        today = views[0].start_on or utc_now().date()
        stage.show("", Board(views[0], today), "", Timeline(views[0], today))
    return _report(stage, views, f"Handoff: {data.name}", of=counts["projects"])


# runs


async def _run(stage: Stage, options: Options, bars: Any) -> Summary:
    async with _session(stage, bars) as session:
        return await run_sync(session, options)


async def _plan(stage: Stage, bars: Any) -> RenderableType:
    async with _session(stage, bars) as session:
        _, planned = await gather(session, Options())
        session.reader.end()
        return show.plan(planned)


async def _flow(stage: Stage, bars: Any, **parameters: Any) -> Summary:
    """The very flow a deployment runs, in this process."""
    from flows.sync import following, sync  # noqa: PLC0415 - Prefect takes seconds to import

    with following(bars) as seen:
        await sync(folder=str(stage.where.folder), state=str(stage.where.state), return_state=True, **parameters)
    return seen[-1]


@asynccontextmanager
async def _session(stage: Stage, bars: Any) -> AsyncIterator[Session]:
    runtime = Runtime()
    ready = load(stage.where.folder, stage.where.env)
    with Store(stage.where.state, now=runtime.clock()) as store:
        async with connect(ready, runtime) as (sources, targets):
            yield Session(ready, store, sources, targets, new_run_id(runtime.clock()), runtime, bars)


# the stage


@asynccontextmanager
async def _stage(out: Path, data: Path | None, console: Console) -> AsyncIterator[Stage]:
    if data is not None:
        look_through(data)
    salesforce, asana = Salesforce(utc_now, daily_limit=1_000_000), Asana(utc_now, enforce_limits=False)
    _furnish(asana)
    async with AsyncExitStack() as stack:
        crm = await stack.enter_async_context(serve(Sandbox(salesforce)))
        tool = await stack.enter_async_context(serve(Sandbox(asana)))
        folder = _folder(out / "config", ANY if data else SAMPLE)
        env = {
            **os.environ,
            "SALESFORCE_LOGIN_URL": crm,
            "SALESFORCE_CLIENT_ID": salesforce.oauth.client_id,
            "SALESFORCE_CLIENT_SECRET": salesforce.oauth.client_secret,
            "ASANA_URL": f"{tool}/api/1.0",
            "ASANA_TOKEN": asana.world.token,
            "ASANA_WORKSPACE": asana.world.workspace,
            "ASANA_TEAM": asana.world.add_team("Delivery"),
        }
        os.environ.update({name: env[name] for name in env if name.startswith(("SALESFORCE_", "ASANA_"))})
        yield Stage(salesforce, asana, Settings(folder, _state(folder), env), out, console)


def _furnish(asana: Asana) -> None:
    """The people and custom fields the sample's mappings name."""
    for name in _PEOPLE:
        asana.world.add_user(name.replace(".", " ").title(), f"{name}@meridian.example")
    asana.world.add_user("Delivery", "delivery@handoff.example")
    asana.world.add_custom_field("Customer", "text")
    asana.world.add_custom_field("Deal value (EUR)", "number")
    asana.world.add_custom_field("Region", "enum", options=["EMEA", "APAC", "Americas"])
    asana.world.add_custom_field("Customer tier", "enum", options=["VIP", "Key account", "Standard"])


def _folder(folder: Path, source: Path) -> Path:
    """The configuration of `source`, pointed at the sandbox."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source / "mappings", folder / "mappings")
    shutil.copyfile(source / "rules.yaml", folder / "rules.yaml")
    mapping = folder / "mappings" / "asana.yaml"
    text = mapping.read_text(encoding="utf-8")
    local = "connection:\n  base_url: ${ASANA_URL}        # the sandbox\n  per_minute: 1000000          # which has no limits\n"
    mapping.write_text(text.replace("connection:\n", local, 1), encoding="utf-8")
    return folder


def _state(folder: Path) -> Path:
    """Where a configuration's state lies by default, empty."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    return folder / "state" / "data" / "handoff.db"


# what came of it


async def _views(stage: Stage, most: int | None = None) -> list[ProjectView]:
    async with _session(stage, lambda *_: None) as session:
        target = session.targets["asana"]
        links = session.outbox.published("asana")[:most]
        titles = {link.source: _title(session, link.source) for link in links}
        return await pictures(session.outbox, target, links, titles=titles)


def _title(session: Session, source: str) -> tuple[str, str]:
    system, kind, id_ = source.split(":", 2)
    known: Any = kind
    snapshot = session.store.snapshots(system, known, [id_])[id_]
    value = revive(known, snapshot.data)
    if kind == "customer":
        return value.name, value.url
    owner = session.store.snapshots(system, "customer", [snapshot.customer]).get(snapshot.customer)
    return (revive("customer", owner.data).name if owner else "", value.url)


def _report(stage: Stage, views: Sequence[ProjectView], title: str, *, of: int) -> str:
    """Writes the page; says how many of the projects are on it."""
    partial = len(views) < of
    shown = f"{len(views):,} of {of:,} projects" if partial else f"{len(views):,} projects"
    page = report.render(views, title=f"{title}, the first {shown}" if partial else title, generated_at=utc_now())
    (stage.out / "report.html").write_text(page, encoding="utf-8")
    return shown


def _tally(stage: Stage) -> Mapping[str, int]:
    """Counted in the sandbox itself, not in our own store."""
    world = stage.asana.world
    keys = [line for task in world.tasks.values() for line in str(task.get("notes", "")).splitlines() if "handoff:" in line]
    return {"projects": len(world.projects), "tasks": len(world.tasks), "twice": len(keys) - len(set(keys))}


def _visits(stage: Stage) -> Counter[str]:
    """What the sandboxes themselves have counted."""
    crm = Counter({f"Salesforce {what}": count for what, count in stage.salesforce.calls.items()})
    return crm + Counter({f"Asana {what}": stage.asana.counts[what] for what in ("reads", "writes")})


def _told(visits: Counter[str]) -> str:
    writes = sum(visits[what] for what in ("Asana writes", "Salesforce collections", "Salesforce composite"))
    return f"{writes} writes; " + ", ".join(f"{count} × {what}" for what, count in sorted(visits.items()))


def _last_month(salesforce: Salesforce) -> date:
    closed = [row["CloseDate"] for row in salesforce.org.rows("Opportunity") if row["IsWon"] and row["CloseDate"]]
    return date.fromisoformat(max(closed)).replace(day=1) if closed else date(1970, 1, 1)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _farewell(stage: Stage, shown: str, *, data: Path | None) -> None:
    stage.say("Now it is yours")
    played, config = stage.where.folder, stage.where.folder if data else ROOT
    deal = _asked_about(stage.salesforce)
    stage.show(
        Text.assemble(("  The report     ", "bold"), f"{stage.out / 'report.html'}  ({shown}, one self-contained page)"),
        Text.assemble(("  Ask why        ", "bold"), f".venv/bin/handoff explain {deal} -C {played}"),
        Text.assemble(
            ("  The rules      ", "bold"), f"{config / 'rules.yaml'}{'' if data else ': change a threshold, then `make demo` again'}"
        ),
        Text.assemble(("  The blueprints ", "bold"), f"{config / 'mappings' / 'blueprints'}"),
        Text.assemble(
            ("  Your accounts  ", "bold"), "`.venv/bin/handoff init my-handoff`, fill in .env, then check, plan, sync: docs/connect.md"
        ),
    )
    if not data:
        limit = "  The sandbox has no rate limits; Asana's paid plan allows 1,500 calls a minute, the only thing you would wait for."
        stage.show(Text(limit, style="dim"))


def _asked_about(salesforce: Salesforce) -> str:
    """A deal worth asking about: the last that was changed."""
    return str(max(salesforce.org.rows("Opportunity"), key=lambda row: (row["SystemModstamp"], row["Id"]))["Id"])


def run(out: Path, *, data: Path | None, staying: bool, console: Console, bars: Any) -> int:
    out.mkdir(parents=True, exist_ok=True)
    return asyncio.run(play(out, data=data, staying=staying, console=console, bars=bars))
