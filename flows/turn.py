"""Taking turns. A state file has one run at a time: the next waits for it, and one that has had its share makes way, however much is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from connectors.base import Runtime, StateHeld
from flows import logs
from state import Store
from state.lock import is_awaited, queued

_LONGEST, _LOOK = timedelta(minutes=15), 0.2  # how long a run waits for another to end; seconds between two looks
_log = logs.get("turn")


def _never() -> bool:
    return False


async def take(state: Path | str, runtime: Runtime, is_stopped: Callable[[], bool] = _never) -> Store:
    """The state, as soon as no other run has it. Raises StateHeld after a long while, and for one that is to stop."""
    try:
        return Store(state, now=runtime.clock())
    except StateHeld as held:
        if not isinstance(state, Path):
            raise
        _log.debug("waiting", extra={"held": str(held)})
        return await _wait(state, runtime, is_stopped)


async def _wait(state: Path, runtime: Runtime, is_stopped: Callable[[], bool]) -> Store:
    until = runtime.clock() + _LONGEST
    with queued(_queue(state)):
        while True:
            try:
                return Store(state, now=runtime.clock())
            except StateHeld:
                if is_stopped() or runtime.clock() >= until:
                    raise
                await runtime.sleep(_LOOK)


def awaited(state: Path | str) -> Callable[[], bool]:
    """Whether another run waits for this one's end just now. On a server runs work side by side, and none does."""
    return (lambda: is_awaited(_queue(state))) if isinstance(state, Path) else _never


def _queue(state: Path) -> Path:
    return state.with_name(state.name + ".queue")
