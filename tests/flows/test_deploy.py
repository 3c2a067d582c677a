"""What is put on a Prefect server: schedules in the time zone of rules.yaml, and deployments that can be run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.server.schemas import schedules as server

from engine.config import Rules
from engine.document import parse
from engine.schedule import Schedule
from flows.deploy import schedules, set_up
from flows.service import PUSH, ROOT
from flows.service_runs import DEPLOYMENT
from tests.flows.files import RULES

BERLIN = ZoneInfo("Europe/Berlin")


def rules(zone: str, *wanted: Schedule) -> Rules:
    return Rules(**{**parse(RULES, "rules.yaml").data, "timezone": zone, "schedules": list(wanted)})


async def starts(schedule: Schedule, since: datetime, count: int, zone: str = "Europe/Berlin") -> list[datetime]:
    (made,) = schedules(rules(zone, schedule), minutes=5)
    kind = server.CronSchedule if schedule.cron else server.IntervalSchedule  # what the server makes of it
    found = await kind.model_validate(made.schedule.model_dump()).get_dates(count, start=since)
    return [moment.astimezone(ZoneInfo(zone)) for moment in found]


@pytest.mark.parametrize("since", [datetime(2026, 3, 27, tzinfo=BERLIN), datetime(2026, 10, 23, tzinfo=BERLIN)], ids=["spring", "autumn"])
@pytest.mark.parametrize("hour", [2, 7])
async def test_a_daily_sync_starts_once_a_day_at_its_hour_when_the_clocks_change(since: datetime, hour: int) -> None:
    found = await starts(Schedule(cron=f"30 {hour} * * *"), since, 5)
    assert [moment.date() for moment in found] == [since.date() + timedelta(days=number) for number in range(5)]
    odd = {moment.hour for moment in found} - {hour}
    assert odd <= ({1} if hour == 2 else set())  # 2:30 is not there on the day in spring


async def test_a_sync_every_few_minutes_keeps_its_beat_through_the_change() -> None:
    found = await starts(Schedule(every="20 minutes"), datetime(2026, 10, 25, 1, tzinfo=BERLIN), 9)
    moments = [moment.timestamp() for moment in found]
    assert {later - earlier for earlier, later in pairwise(moments)} == {1200}


async def test_the_beat_does_not_depend_on_when_the_service_was_started() -> None:
    (first,) = await starts(Schedule(every="7 minutes"), datetime(2026, 5, 1, 12, 1, tzinfo=UTC), 1)
    (second,) = await starts(Schedule(every="7 minutes"), datetime(2026, 5, 1, 12, 2, tzinfo=UTC), 1)
    assert first == second


def test_a_schedule_says_what_its_runs_are_asked_for() -> None:
    made = schedules(
        rules("UTC", Schedule(every="1 hour"), Schedule(cron="0 7 * * *", sources=["salesforce"], jitter_seconds=60)), minutes=5
    )
    assert [one.parameters for one in made] == [{}, {"sources": ["salesforce"], "jitter_seconds": 60}]
    assert [one.slug for one in made] == ["rules-1", "rules-2"]
    (otherwise,) = schedules(rules("UTC"), minutes=9)
    assert getattr(otherwise.schedule, "interval", None) == timedelta(minutes=9)


PREFECT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))  # read as Prefect reads it


@pytest.mark.parametrize("deployment", PREFECT["deployments"], ids=lambda one: one["entrypoint"])
def test_each_deployment_in_prefect_yaml_is_a_flow_with_those_parameters(deployment: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    assert deployment["name"] in {DEPLOYMENT, PUSH}
    assert deployment["parameters"].keys() <= flow.parameters.properties.keys()
    assert deployment["work_pool"] == {"name": "handoff"}
    if "schedules" in deployment:
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_the_build_step_is_there_by_its_name() -> None:
    ((name, step),) = PREFECT["build"][0].items()
    assert f"{set_up.__module__}.{set_up.__name__}" == name
    assert step == {"id": "handoff"}
