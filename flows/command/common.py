"""What every verb shares: options, output for people or scripts, exit codes, one place that turns errors into advice."""

from __future__ import annotations

import asyncio
import errno
import gc
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from connectors.base import (
    AuthError,
    ConfigError,
    ConnectorError,
    LeaseLost,
    QuotaExhausted,
    RateLimited,
    Runtime,
    StateError,
    Transient,
    UnsafePlan,
    kind_of,
)
from flows import hints, show
from flows.apply import Stop
from flows.configuration import RULES, Loaded, at, load, unread
from flows.pipeline import new_run_id
from flows.session import Session, connect
from flows.settings import STATE, Settings, settings
from flows.signals import heeded
from state import Store


class Exit(IntEnum):
    """The exit codes. They are part of the interface: scripts may rely on them."""

    OK = 0
    ATTENTION = 1  # done, but something waits or was refused
    CONFIG = 2  # the configuration or the command line is wrong
    UNSAFE = 3  # the plan is above its limits; nothing was done
    AUTH = 4  # credentials refused
    LATER = 5  # a system cannot be reached or its quota is used up; run again later
    STATE = 6  # the state cannot be used
    STOPPED = 130


_WIDE = 200

Folder = Annotated[
    Path | None, typer.Option("--folder", "-C", help="Folder with rules.yaml and mappings/. Default: here, or $HANDOFF_HOME.")
]
StateFile = Annotated[
    str | None,
    typer.Option(
        "--state", help="Where the state is: a file or postgresql://user@host/database. Default: $HANDOFF_STATE, or state/data/handoff.db."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]


def errors() -> Console:
    """Where messages to people go, apart from answers."""
    return _console(stderr=True)


def _console(*, stderr: bool = False) -> Console:
    """As wide as the terminal is; in a log or a pipe wide enough for ids and addresses to be whole."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _WIDE
    return made


@dataclass(slots=True)
class Screen:
    """Where answers go: rich renderables for people, one JSON document for scripts."""

    json: bool = False

    def show(self, renderable: RenderableType, data: Any = None) -> None:
        if not self.json:
            _console().print(renderable)
        elif data is not None:
            sys.stdout.write(json.dumps(data, ensure_ascii=False, default=_written, indent=2) + "\n")


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class Bars:
    """Progress of the steps of a run, one bar each; silent where nobody watches."""

    def __init__(self, *, quiet: bool) -> None:
        screen = errors()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=screen,
            transient=True,
            disable=quiet or not screen.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, count: int, total: int | None) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._progress.add_task(what, total=total)
        if what == "planning":
            self._progress.update(task, completed=count, total=total)
        else:
            self._progress.update(task, advance=count, total=total)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()


@contextmanager
def advice(as_json: bool = False) -> Iterator[None]:
    """Every error a user can do something about ends here: what, where, what to do, and an exit code. No traceback. A script gets it as JSON."""
    try:
        yield
    except ConfigError as error:
        errors().print(show.problems(error.problems), soft_wrap=True)
        count = len(error.problems)
        place = " in the configuration" if any(problem.file for problem in error.problems) else ""
        _stop(error, Exit.CONFIG, f"{count} problem{'s' if count != 1 else ''}{place}; nothing was done", as_json)
    except ConnectorError as error:
        _stop(error, exit_of(error), str(error), as_json)
    except KeyboardInterrupt as error:
        _stop(error, Exit.STOPPED, "stopped; what was committed is kept, the next run goes on from there", as_json)


def _stop(error: BaseException, code: Exit, message: str, as_json: bool) -> NoReturn:
    errors().print(Text(message, style="red"), soft_wrap=True)
    if as_json:
        Screen(as_json).show("", failure(error, code, message))
    raise typer.Exit(code)


def failure(error: BaseException, code: Exit, message: str) -> dict[str, Any]:
    """A failure for scripts: the kind of error, what it says, every problem with its place, and the exit code."""
    problems = [asdict(problem) for problem in error.problems] if isinstance(error, ConfigError) else []
    for problem in problems:
        del problem["path"]
    return {"error": message, "error_type": kind_of(error), "problems": problems, "exit_code": code.value}


def exit_of(error: ConnectorError) -> Exit:
    match error:
        case ConfigError():
            return Exit.CONFIG
        case UnsafePlan():
            return Exit.UNSAFE
        case AuthError():
            return Exit.AUTH
        case StateError():
            return Exit.STATE
        case Transient() | RateLimited() | QuotaExhausted() | LeaseLost():
            return Exit.LATER
    return Exit.ATTENTION


def loaded(where: Settings, *, connected: bool = True) -> Loaded:
    return load(where.folder, where.env, connect=connected)


def open_store(where: Settings, *, read_only: bool = False, existing: bool = False) -> Store:
    """The state. With `existing` one that is missing is not made: nobody looks after the state of the wrong folder."""
    return Store(where.state, now=Runtime().clock(), read_only=read_only, existing=existing)


@asynccontextmanager
async def session(there: Settings, ready: Loaded, *, store: Store, bars: Bars, runtime: Runtime | None = None) -> AsyncIterator[Session]:
    """A run with everything open. The first SIGINT or SIGTERM lets it finish what is in flight, for a while; the second ends it at once."""
    world = runtime or Runtime()
    halt = Stop()
    with heeded(halt, _tell):
        async with connect(ready, world) as (sources, targets):
            with hints.opened(there, ready, world.clock()) as hub:
                try:
                    yield Session(ready, store, sources, targets, new_run_id(world.clock()), world, bars, halt, hub=hub)
                except ConfigError as error:
                    raise ConfigError([at(ready.configuration, error.system, p) for p in error.problems], system=error.system) from error


def _tell() -> None:
    errors().print(Text("stopping after what is in flight; press again to stop at once", style="yellow"))


T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    gc.set_threshold(200_000, 30, 30)  # a run's objects live to its end; looking for garbage among them again and again finds none
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def where(folder: Path | None, state: str | None = None) -> Settings:
    return settings(folder, state)


def home(folder: Path | None, state: str | None = None) -> Settings:
    """For verbs that need no rules, but nothing is made or looked for in a folder that has none: it is the wrong one."""
    there = where(folder, state)
    rules = there.folder / RULES
    if there.state == there.folder / STATE and not rules.exists():
        raise ConfigError([unread(rules, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))])
    return there


def who() -> str:
    """Who decides: the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
