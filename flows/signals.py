"""SIGINT and SIGTERM: finish what is in flight, for a while, and start nothing new."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flows.apply import Stop

GRACE = 5.0  # seconds; supervisors send SIGKILL after ten or more
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def heeded(halt: Stop, tell: Callable[[], None], *, grace: float = GRACE, insists: bool = True) -> Iterator[None]:
    """The first signal sets `halt` and, `grace` seconds later, cancels the current task; a second one does so at once, if it `insists`.

    Outside the main thread no signal arrives, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, main = asyncio.get_running_loop(), asyncio.current_task()

    def ask() -> None:
        assert main is not None  # noqa: S101 - a run is a task
        if insists or not halt.asked:
            loop.call_later(0 if halt.asked else grace, main.cancel)
        if not halt.asked or insists:
            tell()
        halt.asked = True

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
