"""Several CRMs and several tools in one configuration: each is itself, and one that is down holds up nobody else."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from connectors import registry
from connectors.base import ConfigError, Runtime, UnsafePlan
from flows import configuration
from flows.configuration import load
from flows.explain import explain_record
from flows.pipeline import Options, Summary, new_run_id, run_sync, run_work
from flows.resolve import find
from flows.session import Session, connect
from flows.waiting import waiting
from state import Continuity, Store
from tests.flows.desk import Desk, local
from tests.flows.files import RULES
from tests.flows.pair import FILES, ROUTED, SOUTH, Pair, failed
from tests.flows.test_zoho import MAPPING, ZohoWorld
from tests.flows.world import Clock
from tests.machine import files as machine
from tests.machine.crm import Crm, CrmSource
from tests.machine.tool import AwkwardTarget, AwkwardTool, Ways

Shown = tuple[list[str], list[str]]
BOTH: Shown = ["Near deal onboarding"], ["Far deal onboarding"]
NEAR: Shown = ["Near deal onboarding"], []
FAR: Shown = [], ["Far deal onboarding"]


async def test_two_orgs_of_one_vendor_with_equal_ids_are_two_systems(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()
    assert near == far
    await pair.quiet()
    assert pair.shown() == BOTH
    assert pair.told(near, far) == (f"salesforce:deal:{near}/onboarding", f"south:deal:{far}/onboarding")
    pair.far.change(far, Name="Farther deal")
    await pair.quiet()
    assert pair.near.shown() == BOTH[0]
    assert "Farther deal onboarding" in pair.far.shown()
    before = {name: (await pair.sync()).calls for name in ("one", "two")}
    assert before["one"] == before["two"]


async def test_progress_in_either_tool_reaches_its_own_crm(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()
    await pair.quiet()
    assert pair.near.projects() == pair.far.projects()  # equal ids, too
    pair.far.board.complete_task(pair.far.task("Scope")["gid"], pair.far.person)
    await pair.quiet()
    assert pair.progress(near, far) == (0, 33)


def no_answer(pair: Pair) -> None:
    pair.far.crm.fault(".*", "error_before", status=503, times=-1)


def no_entry(pair: Pair) -> None:
    pair.far.sf.oauth.client_secret = "changed"


def no_quota(pair: Pair) -> None:
    pair.far.org.exhaust_quota()


def no_field(pair: Pair) -> None:
    mapping = SOUTH.replace("next_step: NextStep", "next_step: No_Such__c")
    pair.near.configure({**FILES, "mappings/south.yaml": mapping})


def mend(pair: Pair) -> None:
    pair.far.crm.faults.clear()
    pair.far.sf.oauth.client_secret = "handoff-secret"
    pair.far.org.restore_quota()
    pair.near.configure(FILES)


@pytest.mark.parametrize(
    ("strike", "error"),
    [(no_answer, "Transient"), (no_entry, "AuthError"), (no_quota, "QuotaExhausted"), (no_field, "ConfigError")],
)
async def test_a_crm_that_gives_out_holds_up_only_itself(strike: Callable[[Pair], None], error: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()
    before = pair.cursor("south")
    strike(pair)
    summary = await pair.sync()
    assert (summary.result, failed(summary)) == ("failed", {"south": error})
    assert pair.shown() == NEAR
    assert pair.told(near, far) == (f"salesforce:deal:{near}/onboarding", None)
    assert pair.cursor("south") == before
    with pair.near.store() as store:
        assert store.runs(1)[0].error.startswith("south: ")
    mend(pair)
    await pair.quiet()
    assert pair.shown() == BOTH
    assert None not in pair.told(near, far)


async def test_a_field_gone_from_one_crm_is_told_at_its_place_in_its_own_file(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    no_field(pair)
    error = (await pair.sync()).failures["south"]
    assert isinstance(error, ConfigError)
    assert str(error).startswith("mappings/south.yaml:")


async def test_a_crm_that_gives_out_while_it_is_told_holds_up_only_itself(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()

    def lock(request: Any) -> None:
        if pair.far.projects():
            no_entry(pair)
            pair.far.org.revoke_tokens()

    pair.near.hook = lock
    summary = await pair.sync()
    assert failed(summary) == {"south": "AuthError"}
    assert pair.told(near, far) == (f"salesforce:deal:{near}/onboarding", None)
    pair.near.hook = None
    mend(pair)
    await pair.quiet()
    assert None not in pair.told(near, far)


async def test_all_crms_down_end_the_run(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    no_entry(pair)
    pair.near.sf.oauth.client_secret = "changed"
    summary = await pair.sync()
    assert (summary.result, failed(summary)) == ("failed", {"salesforce": "AuthError", "south": "AuthError"})
    assert pair.shown() == ([], [])


@pytest.mark.parametrize("where", [".*", "POST /api/1.0/(batch|projects)", "GET .*/events"])
async def test_a_tool_that_gives_out_holds_up_only_itself(where: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()
    pair.far.tool.fault(where, "error_before", status=503, times=-1)
    summary = await pair.sync(patience=timedelta(seconds=5))
    assert summary.result in {"failed", "waiting"}
    assert failed(summary).keys() <= {"workshop"}
    assert pair.shown()[0] == NEAR[0]
    assert pair.told(near, far)[0] == f"salesforce:deal:{near}/onboarding"
    pair.far.tool.faults.clear()
    await pair.quiet()
    assert pair.shown() == BOTH
    assert None not in pair.told(near, far)


async def test_a_tool_that_cannot_tell_its_progress_holds_up_only_itself(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, far = await pair.won()
    await pair.quiet()
    for world in (pair.near, pair.far):
        world.board.complete_task(world.task("Scope")["gid"], world.person)
    pair.far.tool.fault("GET .*", "error_before", status=503, times=-1)
    assert failed(await pair.sync()) == {"workshop": "Transient"}
    assert pair.progress(near, far) == (33, 0)
    pair.far.tool.faults.clear()
    await pair.quiet()
    assert pair.progress(near, far) == (33, 33)


async def test_a_tool_whose_token_is_dead_from_the_start_leaves_its_intents_open(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    pair.far.board.revoke(pair.far.env["TOKEN"])
    for _ in range(2):
        summary = await pair.sync()
        assert failed(summary) == {"workshop": "AuthError"}
    assert pair.shown() == NEAR
    assert pair.near.outbox()["open"] > 0
    pair.near.env["FAR_TOKEN"] = pair.far.board.add_token()
    await pair.quiet()
    assert pair.shown() == BOTH


async def test_a_tool_that_cannot_be_asked_what_is_there_already_is_looked_at_later(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.near.deal("Near deal", stage="Closed Won", CloseDate="2026-02-10")
    pair.far.deal("Far deal", stage="Closed Won", CloseDate="2026-02-10")
    await pair.sync()
    await pair.sync()
    pair.far.tool.fault("GET .*", "error_before", status=503, times=-1)
    summary = await pair.sync(since=date(2026, 2, 1))
    assert pair.shown() == NEAR, summary.told
    pair.far.tool.faults.clear()
    await pair.quiet()
    assert pair.shown() == BOTH


async def test_a_source_added_beside_an_old_one_records_its_history_and_acts_on_none_of_it(tmp_path: Path) -> None:
    pair = Pair(tmp_path, files={"rules.yaml": ROUTED.replace("[salesforce, south]", "[salesforce]")})
    pair.far.deal("Old far deal", stage="Closed Won")
    near = pair.near.deal("Near deal")
    await pair.sync()
    pair.near.configure(FILES)
    pair.near.win(near)
    summary = await pair.sync()
    assert summary.baselined == {"south customer": 0, "south deal": 1}
    await pair.quiet()
    assert pair.shown() == NEAR
    far = pair.far.deal("Far deal")
    await pair.quiet()
    pair.far.win(far)
    await pair.quiet()
    assert pair.shown() == BOTH


async def test_a_rule_looks_back_once_into_each_source(tmp_path: Path) -> None:
    back = RULES.replace("  - name: onboard\n", "  - name: onboard\n    backfill: 2026-02-01\n")
    pair = Pair(tmp_path, files={"rules.yaml": back})
    pair.near.deal("Near deal", stage="Closed Won", CloseDate="2026-02-10")
    pair.far.deal("Far deal", stage="Closed Won", CloseDate="2026-02-10")
    await pair.quiet()
    assert pair.near.shown() == ["Near deal onboarding"]
    with pair.near.store() as store, store.transaction():  # as an earlier version left it
        store.save_meta("backfilled:onboard", "2026-02-01")
        store.save_meta("backfilled:onboard:salesforce", "")
    pair.near.deal("Later", stage="Closed Won", CloseDate="2026-02-11")
    pair.near.configure({**FILES, "rules.yaml": back.replace("[salesforce]", "[salesforce, south]")})
    no_answer(pair)
    await pair.sync()
    pair.far.crm.faults.clear()
    await pair.quiet()
    assert sorted(pair.near.shown()) == ["Far deal onboarding", "Later onboarding", "Near deal onboarding"]
    with pair.near.store() as store:
        assert [store.meta(f"backfilled:onboard{of}") for of in ("", ":salesforce", ":south")] == ["", "2026-02-01", "2026-02-01"]


async def test_masses_deleted_in_one_crm_are_counted_against_that_crm(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    gone = [pair.far.deal(f"Far {number}") for number in range(12)]
    for number in range(100):
        pair.near.deal(f"Near {number}")
    await pair.sync()
    for deal in gone:
        pair.far.org.delete("Opportunity", deal)
    refused = await pair.sync()
    assert isinstance(refused.error, UnsafePlan)
    assert str(refused.error).startswith("12 of 12 south deals would be taken for deleted")


async def test_a_worker_goes_on_for_the_other_tools_and_looks_again_at_one_that_gave_out(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    for world in (pair.near, pair.far):
        world.board.revoke(world.env["TOKEN"])
    await pair.sync()
    assert pair.shown() == ([], [])
    pair.near.env["TOKEN"] = pair.near.board.add_token()
    clock, stop = pair.near.clock, pair.near.stop
    loaded, runtime, looks = pair.near.loaded, pair.near.runtime(), list[float]()

    async def pause(seconds: float) -> None:
        looks.append(seconds)
        clock.move(minutes=2)
        if len(looks) == 2:
            assert pair.shown() == NEAR
            pair.far.board.tokens[pair.far.env["TOKEN"]] = replace(pair.far.board.tokens[pair.far.board.add_token()])
        stop.asked = len(looks) == 6

    runtime = replace(runtime, sleep=pause)
    async with connect(loaded, runtime) as (sources, targets):
        with pair.near.store() as store:
            session = Session(loaded, store, sources, targets, new_run_id(clock()), runtime, stop=stop)
            summary = await run_work(session, every=timedelta(seconds=2))
    assert pair.shown() == BOTH
    assert (summary.result, summary.failures) == ("stopped", {})


async def test_crms_of_two_vendors_fill_one_tool(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    world.configure({"mappings/zoho.yaml": MAPPING, "rules.yaml": RULES.replace("[salesforce]", "[salesforce, zoho]")})
    ours, theirs = world.deal("Of Salesforce"), world.add("Of Zoho")
    await world.sync()
    world.win(ours)
    world.edit(theirs, Stage="Closed Won")
    await world.quiet()
    assert sorted(world.shown()) == ["Of Salesforce onboarding", "Of Zoho onboarding"]
    assert world.org.get("Opportunity", ours)["Handoff_Key__c"] == f"salesforce:deal:{ours}/onboarding"
    assert world.held(theirs, "Handoff_Key") == f"zoho:deal:{theirs}/onboarding"


# what people ask for by an id that is not one thing


async def test_an_id_of_several_records_is_asked_for_in_full(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    near, _ = await pair.won()
    with pair.near.store() as store:
        with pytest.raises(ConfigError, match=f"name one: salesforce:deal:{near}, south:deal:{near}"):
            explain_record(store, pair.near.loaded.configuration, near)
        found = explain_record(store, pair.near.loaded.configuration, f"south:deal:{near}")
    assert found is not None
    assert found.title == "Far deal"


async def test_refused_write_backs_of_one_id_are_named_in_full(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    for world in (pair.near, pair.far):
        world.crm.fault("PATCH .*", "error_before", status=400, times=-1)
    summary = await pair.sync()
    assert summary.counts["write-back refused"] == 2, summary
    with pair.near.store() as store:
        refs = [one.ref for one in waiting(store)]
        assert len(set(refs)) == 2
        assert find(store, refs[1]).source == "south:deal:" + refs[1].rsplit(":", 1)[1]


def test_the_command_tells_which_system_gave_out_and_asks_whose_record_is_meant(desk: Desk) -> None:
    far = {"mappings/south.yaml": local({})["mappings/salesforce.yaml"].replace("${CRM}", "http://127.0.0.1:1")}
    desk.world.configure({**local(far), "rules.yaml": RULES.replace("[salesforce]", "[salesforce, south]")})
    deal = desk.world.deal("Big deal")
    done = desk.do("sync")
    assert done.exit_code == 5, done.output
    assert "south: cannot reach 127.0.0.1:1" in done.output
    assert "baseline: 1 salesforce deal recorded" in done.output
    told = desk.do("sync", "--json")
    assert json.loads(told.stdout)["failures"]["south"]["error_type"] == "Transient"
    planned = desk.do("plan")
    assert planned.exit_code == 5
    assert "Nothing is planned for what these would tell:\n  south: cannot reach" in planned.output
    bare = desk.do("plan", "--only", deal)
    assert bare.exit_code == 2
    assert f"salesforce:deal:{deal} or south:deal:{deal}" in bare.stderr
    checked = desk.do("check")
    assert checked.exit_code == 5


# one system as a CRM and as a tool

ONE = {"rules.yaml": machine.RULES.replace("[crm]", "[one]").replace("target: tool", "target: one")}
ONE |= {"mappings/one.yaml": machine.CRM.replace("system: crm", "system: both")}
ONE |= {"mappings/blueprints/onboarding.yaml": machine.ONBOARDING}


class Connection(BaseModel):
    pass


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> tuple[Crm, AwkwardTool, ModuleType]:
    """A vendor who sells a CRM with a project tool in it."""
    clock = Clock()
    crm, tool, package = Crm(clock), AwkwardTool(clock, Ways()), ModuleType("connectors_both")
    vars(package).update(
        Connection=Connection, open_source=lambda *_, **__: CrmSource(crm), open_target=lambda *_, **__: AwkwardTarget(tool)
    )
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr(registry, "SYSTEMS", {"both": package.__name__})
    monkeypatch.setattr(configuration, "SYSTEMS", registry.SYSTEMS)
    return crm, tool, package


async def test_one_file_may_be_a_source_and_a_target(tmp_path: Path, both: tuple[Crm, AwkwardTool, ModuleType]) -> None:
    crm, tool, _ = both
    write(tmp_path, ONE)
    deal = crm.add("Big deal")
    loaded, runtime = load(tmp_path, {}), Runtime(clock=crm.clock, sleep=crm.clock.sleep, random=random.Random(7))  # type: ignore[attr-defined]

    async def sync() -> Summary:
        async with connect(loaded, runtime) as (sources, targets):
            with Store(tmp_path / "state.db", now=crm.clock()) as store:
                return await run_sync(Session(loaded, store, sources, targets, new_run_id(crm.clock()), runtime), Options())

    await sync()
    crm.change(deal, won=True)
    assert (await sync()).result == "done"
    assert tool.visible() == ["Big deal onboarding"]
    assert crm.told[deal]["Key"] == f"one:deal:{deal}/onboarding"
    assert (await sync()).result == "nothing to do"


def test_a_file_of_a_system_that_cannot_be_both_is_refused_at_its_place(tmp_path: Path, both: tuple[Crm, AwkwardTool, ModuleType]) -> None:
    del vars(both[2])["open_target"]
    write(tmp_path, ONE)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {})
    assert [str(problem) for problem in refused.value.problems] == ["mappings/one.yaml:3:9: both cannot be a target"]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


async def test_a_sync_of_some_sources_reads_only_those_and_leaves_the_others_where_they_stand(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    south, calls = pair.cursor("south"), sum(pair.far.crm.seen.values())
    run = await pair.sync(sources=("salesforce",))
    assert (run.result, pair.shown()) == ("done", NEAR)
    assert pair.cursor("south") == south
    assert sum(pair.far.crm.seen.values()) - calls <= 1  # it signs in
    await pair.quiet()
    assert pair.shown() == BOTH


async def test_a_state_that_may_be_old_counts_as_such_until_every_source_was_read(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.won()
    await pair.quiet()
    doubts = []
    for sources in (("salesforce",), ()):
        await pair.sync(minutes=120, sources=sources)
        with pair.near.store() as store:
            doubts.append(Continuity(store).doubt() is not None)
    assert doubts == [True, False]


async def test_a_source_that_is_not_in_rules_yaml_is_named(tmp_path: Path) -> None:
    run = await Pair(tmp_path).sync(sources=("salesforec",))
    assert isinstance(run.error, ConfigError)
    assert "unknown source salesforec (did you mean salesforce?" in str(run.error)
