"""Structured logs: one JSON object a line on standard error. Ids, counts and error types; never a secret, a body or a customer's words."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

run_id: ContextVar[str] = ContextVar("run_id", default="")
LEVELS = ("debug", "info", "warning", "error")
_OURS = "handoff"
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """`{"at": …, "level": …, "event": …, "run": …}` and whatever the caller passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "part": record.name.removeprefix(f"{_OURS}."),
        }
        if run := run_id.get():
            line["run"] = run
        line |= {name: value for name, value in vars(record).items() if name not in _KNOWN}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


logging.getLogger(_OURS).addHandler(logging.NullHandler())  # without it, Python prints errors nobody asked to see


def configure(level: str) -> None:
    """Send our logs of `level` and above to standard error. Other libraries' logs are left alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger(_OURS)
    ours.handlers[:] = [handler]
    ours.setLevel(level.upper())
    ours.propagate = False


def get(part: str) -> logging.Logger:
    return logging.getLogger(f"{_OURS}.{part}")
