"""The reconciliation as Prefect runs and shows it, and that a nightly one happens once each night whatever the clocks do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from prefect import Flow
from prefect.server.schemas.schedules import CronSchedule

from flows.service import NIGHTLY
from flows.sync_reconcile import reconcile
from tests.flows.desk import Desk
from tests.flows.test_cli_reconcile import slipped
from tests.flows.test_prefect import environment, prefect, rows, run, seen, tasks_of
from tests.prefect_server import MARKS

__all__ = ["environment", "prefect"]
pytestmark = MARKS


async def test_a_run_tells_what_was_missed_what_is_gone_and_what_people_changed(desk: Desk) -> None:
    await asyncio.to_thread(slipped, desk, 3)
    world = desk.world
    state = await run(reconcile, desk)
    assert (state.name, state.message) == ("Completed", "done: 27 created, 3 published, 3 written back")
    flow_run, artifacts = await seen(state)
    assert flow_run.name == f"reconcile {desk.folder.name}"
    assert artifacts.keys() >= {"plan", "missed", "reconciled", "outcome"}
    assert {row["title"] for row in rows(artifacts["missed"])} == {"Deal 0", "Deal 1", "Deal 2"}
    assert "3 changes had been missed" in str(artifacts["reconciled"].data)
    assert "[Deal 0](http" in str(artifacts["reconciled"].data)
    assert ("look into the tools", "Completed", 1) in await tasks_of(state)
    first, second, _ = world.projects()
    world.board.edit_task(world.task("Scope", first)["gid"], {"name": "*Theirs* [1]"}, world.person)
    world.board.delete_project(second, world.person)
    _, artifacts = await seen(await run(reconcile, desk))
    (changed,) = rows(artifacts["drift"])
    assert (changed["field"], changed["ours"], changed["theirs"]) == ("name", "Scope", "*Theirs* [1]")
    (gone,) = rows(artifacts["gone"])
    assert (gone["kind"], gone["where"]) == ("project", world.board.projects.get(second, {}).get("permalink_url", gone["where"]))
    assert "missed" not in artifacts
    assert "1 project gone in asana, 1 field changed by people" in str(artifacts["reconciled"].data)


async def test_a_run_above_its_limits_is_refused_and_the_tools_are_looked_into_all_the_same(desk: Desk) -> None:
    await asyncio.to_thread(slipped, desk, 11)
    refused = await run(reconcile, desk)
    assert (refused.name, refused.is_failed()) == ("Refused", True)
    assert ("look into the tools", "Completed", 1) in await tasks_of(refused)
    assert desk.world.shown() == []
    assert "11 changes had been missed" in desk.told("status")["reconciled"]
    forced = await run(reconcile, desk, force=True)
    assert (await seen(forced))[0].name == f"reconcile {desk.folder.name}, forced"
    assert len(desk.world.shown()) == 11


async def test_a_crm_that_stumbles_is_read_again_and_nothing_counted_twice(desk: Desk) -> None:
    await asyncio.to_thread(slipped, desk)
    desk.world.crm.fault("GET /services/data/.*/query", "error_before", status=503, times=6, skip=1)
    state = await run(reconcile, desk)
    assert state.name == "Completed", state.message
    assert ("pull and plan", "Completed", 2) in await tasks_of(state)
    assert "1 change had been missed" in desk.told("status")["reconciled"]
    assert desk.world.shown() == ["Deal 0 onboarding"]


# nightly


def starts(zone: str, around: datetime, cron: str = NIGHTLY) -> list[datetime]:
    """When runs start in the week around a moment, as a scheduler finds out that looks ahead every quarter of an hour."""

    async def ask() -> set[datetime]:
        schedule, found = CronSchedule(cron=cron, timezone=zone), set[datetime]()
        for quarter in range(7 * 96):
            now = around - timedelta(days=3) + timedelta(minutes=15 * quarter)
            found |= {one.astimezone(UTC) for one in await schedule.get_dates(2, start=now)}
        return found

    return sorted(asyncio.run(ask()))


CHANGES = {
    "Europe/Berlin, forward": ("Europe/Berlin", datetime(2027, 3, 28, tzinfo=UTC)),
    "Europe/Berlin, back": ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    "America/New_York, forward": ("America/New_York", datetime(2027, 3, 14, tzinfo=UTC)),
    "America/New_York, back": ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    "Asia/Shanghai, never": ("Asia/Shanghai", datetime(2027, 3, 28, tzinfo=UTC)),
}


@pytest.mark.parametrize("cron", [NIGHTLY, "30 2 * * *"])
@pytest.mark.parametrize(("zone", "around"), CHANGES.values(), ids=CHANGES.keys())
def test_a_nightly_run_happens_once_each_night_when_the_clocks_change(zone: str, around: datetime, cron: str) -> None:
    nights = [one.astimezone(ZoneInfo(zone)).date() for one in starts(zone, around, cron)]
    assert nights == [nights[0] + timedelta(days=day) for day in range(len(nights))]
    assert len(nights) >= 7


@pytest.mark.parametrize(("zone", "around"), CHANGES.values(), ids=CHANGES.keys())
def test_and_at_the_hour_it_is_meant_for(zone: str, around: datetime) -> None:
    assert {f"{one.astimezone(ZoneInfo(zone)):%H:%M}" for one in starts(zone, around)} == {"04:30"}


def test_at_half_past_two_prefect_would_start_an_hour_early_in_the_night_that_has_no_such_hour() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    found = [f"{one.astimezone(berlin):%m-%d %H:%M}" for one in starts("Europe/Berlin", datetime(2027, 3, 28, tzinfo=UTC), "30 2 * * *")]
    assert found[2:5] == ["03-27 02:30", "03-28 01:30", "03-29 02:30"]


def test_no_zone_changes_its_clocks_at_that_hour() -> None:
    minute, hour = map(int, NIGHTLY.split()[:2])
    changed = 0
    for zone in map(ZoneInfo, sorted(available_timezones())):
        day = datetime(2026, 1, 1, hour, minute, tzinfo=zone)
        offset = day.utcoffset()
        for _ in range(730):
            day += timedelta(days=1)
            before, offset = offset, day.utcoffset()
            if offset != before:
                changed += 1
                for one in (day - timedelta(days=1), day):
                    assert one.astimezone(UTC).astimezone(zone) == one, zone
                    assert one.utcoffset() == one.replace(fold=1).utcoffset(), zone
    assert changed > 500


async def test_the_deployments_are_four_and_the_nightly_one_goes_by_the_zone_of_the_rules(desk: Desk) -> None:
    from flows.configuration import load
    from flows.service import _deployments
    from flows.settings import settings

    rules = (desk.folder / "rules.yaml").read_text().replace("timezone: UTC", "timezone: Asia/Shanghai")
    (desk.folder / "rules.yaml").write_text(rules)
    where = settings(desk.folder, str(desk.state))
    found: list[Any] = await _deployments(where, load(where.folder, where.env, connect=False).configuration.rules, minutes=5)
    (nightly,) = [one for one in found if one.flow_name == "reconcile"]
    ((schedule),) = nightly.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == (NIGHTLY, "Asia/Shanghai")
    assert nightly.parameters == {"folder": str(desk.folder), "state": str(desk.state)}


def test_prefect_finds_the_flow_by_its_name_and_each_parameter_has_a_word() -> None:
    from prefect.flows import load_flow_from_entrypoint

    found: Flow[..., Any] = load_flow_from_entrypoint("flows.sync_reconcile:reconcile")
    assert found.name == "reconcile"
    assert list(found.parameters.properties) == ["folder", "state", "most_calls", "force", "approve"]
    assert all(field.get("description") for field in found.parameters.properties.values())
