"""Processes that a service keeps: started again when they die, ended with it."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from flows import logs

_log: logging.Logger = logs.get("service")
_LOOK, _LONGEST = 0.5, 30.0


def wait_for_parent() -> None:
    """Returns when whoever started this process with a pipe for its standard input has ended, however that came."""
    while os.read(0, 4096):  # unbuffered: a lock held on sys.stdin would be fatal when the interpreter ends
        pass


class Kept:
    """A command that runs for as long as the block lasts; what it says goes to `log`. When it dies it is started again, after a pause that grows.

    Its standard input ends when this process does, however that ends: a sign to end as well. It has `ends` seconds to end in order.
    """

    def __init__(self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, ends: float = 12.0) -> None:
        self._command, self.log, self._env, self._ends = list(command), log, env, ends
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = self._start()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._keeper.join()
        self.process.terminate()
        try:
            self.process.wait(timeout=self._ends)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._let_go()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and fixed words
                self._command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=self._env
            )

    def _let_go(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _keep(self) -> None:
        pause = _LOOK
        while not self._ended.wait(pause):
            if self.process.poll() is None:
                pause = _LOOK
                continue
            _log.error("a process died and is started again", extra={"command": self._command[:3], "code": self.process.returncode})
            self._let_go()
            self.process = self._start()
            pause = min(_LONGEST, pause * 2)
