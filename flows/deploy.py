"""What `handoff serve` and `prefect deploy` put on a Prefect server: schedules, limits, a work pool, and a watch over runs that fall silent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists

from connectors.base import ConnectorError
from engine.config import Rules
from engine.schedule import Schedule, interval
from flows.service import NIGHTLY, ROOT, quiet_settings
from flows.service_runs import DEPLOYMENT, watch_for_zombies
from flows.settings import Settings, settings

POOL = "handoff"
ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
"""What comes while a run is under way waits for it; of what a schedule piles up meanwhile, `stand_in` leaves one."""


def schedules(rules: Rules, *, minutes: int) -> list[DeploymentScheduleCreate]:
    """The schedules of rules.yaml as Prefect has them; every so many `minutes` where there are none."""
    if not rules.schedules:
        return [_create(_every(timedelta(minutes=minutes)), {}, 1)]
    return [_create(_when(one, rules.timezone), _asked(one), number) for number, one in enumerate(rules.schedules, start=1)]


def nightly(rules: Rules) -> DeploymentScheduleCreate:
    """When everything is read again: once a night in the time zone of rules.yaml."""
    return _create(CronSchedule(cron=NIGHTLY, timezone=rules.timezone), {}, 1)


def _when(wanted: Schedule, zone: str) -> CronSchedule | IntervalSchedule:
    return CronSchedule(cron=wanted.cron, timezone=zone) if wanted.cron else _every(interval(wanted.every))


def _every(span: timedelta) -> IntervalSchedule:
    """Counted in UTC, as Prefect leaves out the hour that local time has twice in autumn; from one fixed moment, so that a restart keeps the beat."""
    return IntervalSchedule(interval=span, anchor_date=datetime(2026, 1, 1, tzinfo=UTC), timezone="UTC")


def _asked(wanted: Schedule) -> dict[str, Any]:
    asked = {"sources": wanted.sources, "jitter_seconds": wanted.jitter_seconds}
    return {name: value for name, value in asked.items() if value}


def _create(when: CronSchedule | IntervalSchedule, asked: dict[str, Any], number: int) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(schedule=when, parameters=asked, slug=f"rules-{number}", active=True)


async def set_up(where: Settings | None = None) -> dict[str, Any]:
    """The build step of prefect.yaml: what its deployments need on the server. Gives what they refer to: `folder`, where rules.yaml is.

    Harmless to repeat.
    """
    there = where or settings()
    async with get_client() as client:
        await make_pool(client)
        await watch_for_zombies(client)
    return {"folder": str(there.folder)}


async def make_pool(client: PrefectClient) -> None:
    """A work pool whose workers start a process for each run."""
    try:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description="Runs of Handoff, a process each"))
    except ObjectAlreadyExists:
        return


async def put_schedules(rules: Rules, *, minutes: int) -> None:
    """Have what was deployed start when rules.yaml says so."""
    async with get_client() as client:
        for flow, wanted in (("sync", schedules(rules, minutes=minutes)), ("reconcile", [nightly(rules)])):
            deployment = await client.read_deployment_by_name(f"{flow}/{DEPLOYMENT}")
            put = [DeploymentScheduleUpdate(**one.model_dump(exclude={"replaces"})) for one in wanted]
            await client.update_deployment(deployment.id, DeploymentUpdate(schedules=put))


def run_deploy(where: Settings, rules: Rules, *, minutes: int) -> None:
    """Put the deployments of prefect.yaml on the server at $PREFECT_API_URL, for workers of the pool. Raises ConnectorError."""
    os.environ.update(quiet_settings(where), HANDOFF_HOME=str(where.folder))
    try:
        asyncio.run(set_up(where))
        words = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(ROOT / "prefect.yaml")]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and fixed words
        if done.returncode or "Skipping" in done.stdout:
            raise ConnectorError(f"prefect deploy failed: {(done.stderr or done.stdout).strip()[-500:]}")
        asyncio.run(put_schedules(rules, minutes=minutes))
    except httpx.HTTPError as error:
        raise ConnectorError(f"the Prefect server at {os.environ.get('PREFECT_API_URL')} does not answer: {error}") from error
