"""The way to one workspace: its address, the token, and the limits of its plan."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.asana.connection import Connection
from connectors.asana.errors import Judge
from connectors.base import Runtime
from connectors.http import Http, Limiter


class _Bearer:
    """A token that never changes."""

    def __init__(self, connection: Connection) -> None:
        self._token = connection.token

    async def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    async def renew(self, dead: Mapping[str, str]) -> bool:
        return False


def reach(connection: Connection, judge: Judge, runtime: Runtime) -> Http:
    """A client that keeps to what the plan allows."""
    slots = {"read": connection.reads_at_once, "write": connection.writes_at_once}
    # Asana counts whole minutes: what may go at once comes out of the minute's allowance.
    burst = min(max(10.0, connection.per_minute / 60), connection.per_minute / 2)
    limiter = Limiter(runtime=runtime, per_minute=connection.per_minute - burst, slots=slots, burst=burst)
    return Http(system="asana", base_url=connection.base_url, runtime=runtime, authorize=_Bearer(connection), judge=judge, limiter=limiter)
