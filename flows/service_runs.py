"""Runs that Prefect would leave wrong by itself: those whose process is gone, and those that pile up while nobody runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from string import ascii_uppercase
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Crashed

from connectors.base import utc_now
from flows.service import PUSH

DEPLOYMENT = "handoff"  # of each flow; those that follow pushes have one more
ZOMBIES = "handoff: runs whose process is gone"
SILENCE = timedelta(seconds=90)  # three heartbeats
_PAGE = 200
_UNDER_WAY = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)


async def prepare(client: PrefectClient, *, alone: bool) -> None:
    """Before anything is run: watch for runs that fall silent, close those that a killed process left open, and of runs that fell due meanwhile keep
    the last. `alone`: no other process runs our deployments, so that what is open is nobody's."""
    await watch_for_zombies(client)
    found = await client.read_deployments(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[DEPLOYMENT, PUSH])))
    ids = [one.id for one in found]
    if alone:
        await close_orphans(client, ids)
    await skip_overdue(client, ids)


async def watch_for_zombies(client: PrefectClient) -> None:
    """Have the server call a run crashed that was heard of and then fell silent. Harmless to repeat."""
    wanted = zombie_automation()
    known = await client.read_automations_by_name(ZOMBIES)
    if known:
        await client.update_automation(known[0].id, wanted)
    else:
        await client.create_automation(wanted)


def zombie_automation(within: timedelta = SILENCE) -> AutomationCore:
    """After a heartbeat: another, or a state in which none is due. Our states have names of their own (CompletedWithErrors, Waiting …), so a
    state is known by how its name begins; after Running, Retrying or Pending the next heartbeat is yet to come.

    https://docs.prefect.io/v3/advanced/detect-zombie-flows
    """
    begins = [*(set(ascii_uppercase) - {"R", "P"}), "Ref", "Rej", "Pa"]
    return AutomationCore(
        name=ZOMBIES,
        description="A run that was heard of and then fell silent has lost its process. The next run does what is left.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{letters}*" for letters in begins)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Its process is gone. The next run does what is left.")],
    )


async def close_orphans(client: PrefectClient, deployments: Sequence[UUID]) -> int:
    """Call those runs crashed that are still said to be under way; gives how many. Their places in a concurrency limit are free then."""
    runs = await _runs(client, deployments, _UNDER_WAY)
    for run in runs:
        await client.set_flow_run_state(run.id, Crashed(message="The service that ran it ended. The next run does what is left."))
    return len(runs)


async def skip_overdue(client: PrefectClient, deployments: Sequence[UUID]) -> int:
    """Of scheduled runs that are overdue keep the last of each schedule: it does the work of all. Gives how many were skipped."""
    runs = await _runs(client, deployments, (StateType.SCHEDULED,), due=True)
    latest = {(run.deployment_id, _asked(run)): run.id for run in runs}
    return await _skip(client, (run for run in runs if run.id != latest[run.deployment_id, _asked(run)]))


async def stand_in() -> None:
    """Called by a run of a deployment: others of its schedule that are overdue by now are skipped, as this one does their work."""
    if not (deployment.id and flow_run.id):
        return
    async with get_client() as client:
        own = await client.read_flow_run(UUID(flow_run.id))
        overdue = await _runs(client, [UUID(deployment.id)], (StateType.SCHEDULED,), due=True)
        await _skip(client, (run for run in overdue if run.id != own.id and _asked(run) == _asked(own)))


async def _skip(client: PrefectClient, runs: Iterable[FlowRun]) -> int:
    count = 0
    for run in runs:
        if run.auto_scheduled:  # what a person asked for is run
            await client.set_flow_run_state(run.id, Cancelled(name="Skipped", message="Another run does its work."))
            count += 1
    return count


async def _runs(client: PrefectClient, deployments: Sequence[UUID], states: Sequence[StateType], *, due: bool = False) -> list[FlowRun]:
    """Runs of some deployments, those due first first."""
    if not deployments:
        return []
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=list(deployments)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=utc_now()) if due else None,
    )
    found: list[FlowRun] = []
    while page := await client.read_flow_runs(
        flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=_PAGE, offset=len(found)
    ):
        found += page
    return found


def _asked(run: FlowRun) -> str:
    """What a run was asked for: only runs that were asked for the same can stand in for each other."""
    return repr(sorted(run.parameters.items()))
