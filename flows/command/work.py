"""`work`: carry out what others decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from connectors.base import StateError
from flows.command.common import Bars, Folder, Json, StateFile, advice, loaded, open_store, run, session, where
from flows.command.sync import show_summary
from flows.pipeline import Summary, run_work
from flows.settings import Settings


def work(
    folder: Folder = None,
    state: StateFile = None,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks for something to do.")] = 2.0,
    lease: Annotated[
        float, typer.Option("--lease", min=1, max=60, help="Seconds after which others take over what this one was at when it went silent.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Help to carry out what syncs decide, until stopped. Start as many as you like, anywhere; the state must be on PostgreSQL."""
    with advice():
        there = where(folder, state)
        summary = run(_work(there, timedelta(seconds=every), timedelta(seconds=lease), quiet=as_json))
        show_summary(summary, as_json=as_json)


async def _work(there: Settings, every: timedelta, term: timedelta, *, quiet: bool) -> Summary:
    configured = loaded(there)
    with open_store(there, existing=True) as store, Bars(quiet=quiet) as bars:
        if not store.db.shared:
            raise StateError(f"{store.db.name} is a file, which one process uses at a time; more workers need a state on PostgreSQL")
        async with session(there, configured, store=store, bars=bars) as ready:
            ready.term = term
            return await run_work(ready, every=every)
