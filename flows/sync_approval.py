"""The Prefect flow `approval`: it shows what waits for a person's yes and suspends itself until somebody answers in Prefect's form, or elsewhere.

A suspended run is no process. Resumed, it begins from the top, as it does when it is tried again: all it knows is in the hub's database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_client
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from connectors.base import ConnectorError, StateError, utc_now
from flows import approving, logs
from flows.settings import Settings, settings
from state.approvals import Answer, Approval

NAME = "handoff"
"""Of the deployment whose runs ask."""
_log = logs.get("approval")
_SLACK = timedelta(minutes=15)  # whoever follows ends what has expired, and says so; Prefect by itself would call it failed
_MOST, _MOST_ROWS = 50, 1000
_ANSWERS: Mapping[str, Answer] = {"approve": "approved", "reject": "rejected"}


class Word(RunInput):
    """A person's answer."""

    answer: Literal["approve", "reject"] = Field(description="Approve exactly the plan that is shown, or reject it.")
    because: str = Field("", max_length=2000, description="Why; for those who ask later.")
    name: str = Field(min_length=1, max_length=200, description="Who says so.")


def _name() -> str:
    return f"approval {flow_run.parameters.get('number')}"


@flow(name="approval", flow_run_name=_name, persist_result=False)
async def approval(number: int, folder: str = ".", state: str | None = None) -> State[Any]:
    """Ask a person about one plan, and wait for the answer. The next sync carries it out.

    Args:
        number: The approval's number.
        folder: The folder with rules.yaml and mappings/.
        state: The state, if it is not state/data/handoff.db in the folder: a file. An address with a password belongs into $HANDOFF_STATE.
    """
    where = settings(Path(folder), state)
    one = approving.get(where.state, number, utc_now())
    if one is None:
        return Failed(message=f"there is no approval {number}")
    if one.state_at(utc_now()) == "waiting":
        if flow_run.run_count <= 1:
            await _show(one)
        word = await suspend_flow_run(_form(one), timeout=_seconds(one, utc_now()), key="answer")  # type: ignore[misc]
        one = _answered(where, one, word)
    return _ended(one, utc_now())


def _form(one: Approval) -> type[Word]:
    return Word.with_initial_data(description=f"{_title(one)}\n\n" + "\n".join(f"- {reason}" for reason in one.why))


def _seconds(one: Approval, now: datetime) -> int:
    return max(1, int((one.expires_at + _SLACK - now).total_seconds()))


def _answered(where: Settings, one: Approval, word: Word) -> Approval:
    """The approval as it is now: so answered, or as somebody else was first to answer it."""
    try:
        return approving.decide(where.state, one.number, _ANSWERS[word.answer], by=word.name, words=word.because, now=utc_now())
    except StateError:
        found = approving.get(where.state, one.number, utc_now())
        if found is None or found.state_at(utc_now()) == "waiting":
            raise
        return found


def _ended(one: Approval, now: datetime) -> State[Any]:
    names = {"done": "Approved"}
    state = one.state_at(now)
    return Completed(name=names.get(state, state.capitalize()), message=approving.told(one, now))


async def _show(one: Approval) -> None:
    lines = [f"## {_title(one)}", "", *(f"- {reason}" for reason in one.why), "", f"Plan `{one.digest}`, to be answered by"]
    lines[-1] += f" {one.expires_at:%Y-%m-%d %H:%M} UTC: *Resume* this run, or `handoff approvals approve {one.number}`."
    await acreate_markdown_artifact("\n".join(lines), key="approval", description=_title(one))
    rows = [_row(action) for action in one.plan.get("actions", ()) if action["op"] != "publish"]
    rows += [{"what": "tell", "name": told["channel"], "fields": told["text"], "why": told["why"]} for told in one.plan.get("notices", ())]
    if rows:
        await acreate_table_artifact(rows[:_MOST_ROWS], key="approval-plan", description=f"Plan {one.digest}: what is to be approved")


def _title(one: Approval) -> str:
    return f"Approval {one.number}: {one.title}"


def _row(action: Mapping[str, Any]) -> dict[str, Any]:
    fields = action.get("fields") or action.get("changed") or {}
    name = fields.get("name") or fields.get("title") or ""
    told = {what: str(value) for what, value in fields.items() if what not in ("name", "title") and value not in (None, "", [], {}, False)}
    return {
        "what": f"{action['op']} {action['kind']}",
        "name": name,
        "tool": action["target"],
        "fields": "; ".join(f"{what}: {value}" for what, value in told.items()),
        "why": action["why"],
        "key": action["key"],
    }


# whoever serves the deployments calls these, again and again


async def follow(where: Settings) -> None:
    """A run for each question that has none, an end to each run whose question is none any more. What cannot be reached is asked later: whatever
    goes wrong here is no fault of the sync before it."""
    now = utc_now()
    async with _patiently():
        if approving.recent(where.state, now):
            await _catch_up(where, now)


async def _catch_up(where: Settings, now: datetime) -> None:
    async with get_client() as client:
        await end_answered(client, where, now)
        await start_asked(client, where, approving.waiting(where.state, now), now)


async def start_asked(client: PrefectClient, where: Settings, waiting: Sequence[Approval], now: datetime) -> None:
    """Start a run of the deployment for each approval that waits and has none; where there is no such deployment, nothing."""
    new = [one for one in waiting if not one.flow_run][:_MOST]
    if not new:
        return
    try:
        deployment = await client.read_deployment_by_name(f"{approval.name}/{NAME}")
    except ObjectNotFound:
        return
    for one in new:
        key = f"approval-{one.number}-{one.asked_at.isoformat()}"  # asked for twice, it is the same run
        run = await client.create_flow_run_from_deployment(deployment.id, parameters={"number": one.number}, idempotency_key=key)
        with approving.opened(where.state, now) as approvals:
            approvals.note_flow_run(one.number, str(run.id))


async def end_answered(client: PrefectClient, where: Settings, now: datetime) -> None:
    """End the suspended runs of those approvals that were answered elsewhere, expired, or are asked no more."""
    asking = FlowFilter(name=FlowFilterName(any_=[approval.name]))
    suspended = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
    for run in await client.read_flow_runs(flow_filter=asking, flow_run_filter=suspended):
        one = approving.get(where.state, int(run.parameters["number"]), now)
        if one is not None and one.flow_run == str(run.id) and one.state_at(now) != "waiting":
            await client.set_flow_run_state(run.id, _ended(one, now), force=True)


@asynccontextmanager
async def _patiently() -> AsyncIterator[None]:
    import httpx  # noqa: PLC0415 - the errors of Prefect's own client

    try:
        yield
    except (httpx.HTTPError, RuntimeError, ConnectorError) as error:
        _log.warning("runs of approvals are seen to later", extra={"error": type(error).__name__})
