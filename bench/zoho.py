"""Zoho CRM over each of its two backends, side by side: a first read of deals page by page, then the same with a list of each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import Benchmark, Figure, Sandbox, run
from connectors.base import Runtime
from connectors.zoho import Connection, ZohoSource
from engine.model import Read

DEALS, WITH_LISTS, LATENCY = 10_000, 1_000, 0.02
FIELDS = ("Deal_Name", "Stage", "Amount", "Closing_Date", "Next_Step", "Description", "Owner.email", "Account_Name.id", "$won", "$currency")
BACKENDS = ("httpx", "zcrmsdk")


def measure() -> tuple[Benchmark, ...]:
    return (
        _read("zoho", f"first read of {DEALS:,} deals, page by page, with no latency", DEALS, 0.0, lists=False),
        _read("zoho lists", f"{WITH_LISTS:,} deals with a list each, {LATENCY * 1000:.0f} ms latency", WITH_LISTS, LATENCY, lists=True),
    )


def _read(name: str, what: str, deals: int, latency: float, *, lists: bool) -> Benchmark:
    figures: list[Figure] = []
    with Sandbox("zoho", {"deals": deals, "latency": latency}) as crm, TemporaryDirectory() as folder:
        for backend in BACKENDS:
            ran = run("bench.zoho", backend, crm.env["ZOHO_URL"], str(Path(folder) / backend), str(int(lists)))
            assert ran.data["records"] == deals, ran.data
            figures += [
                Figure(f"{backend}: records a second", deals / ran.data["seconds"]),
                Figure(f"{backend}: own CPU time, start to exit", ran.cpu, "s"),
                Figure(f"{backend}: calls", ran.data["calls"]),
                Figure(f"{backend}: connections opened", ran.data["connections"]),
                Figure(f"{backend}: peak memory", ran.megabytes, "MB"),
            ]
    return Benchmark(name, what, figures)


async def _pull(backend: str, url: str, token_file: str, lists: bool) -> dict[str, float]:
    settings = {"client_id": "1000.HANDOFFCLIENT", "client_secret": "handoff-secret", "refresh_token": "1000.handoff.refresh"}
    places = {"accounts_url": url, "api_url": url, "token_file": token_file, "edition": "enterprise", "backend": backend}
    connection = Connection.model_validate({**settings, **places, "bulk_above": 10_000_000})
    children = {"contacts": Read("Contact_Roles", ("id", "Full_Name"))} if lists else {}
    source = ZohoSource(connection, {"deal": Read("Deals", FIELDS, children)}, runtime=Runtime())
    records, connections = 0, _connections()
    async with source:
        await source.read("deal", ["1"])  # signed in
        began = time.perf_counter()
        async for page in source.pull("deal", None):
            records += len(page.records)
        seconds = time.perf_counter() - began
    return {"records": records, "seconds": seconds, "calls": source.calls, "connections": len(connections)}


def _connections() -> list[str]:
    """Grows with each TCP connection this process asks for, whoever asks."""
    opened: list[str] = []
    sys.addaudithook(lambda event, given: opened.append(event) if event == "socket.connect" and isinstance(given[1], tuple) else None)
    return opened


if __name__ == "__main__":
    asked, url, token_file, lists = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(_pull(asked, url, token_file, lists == "1"))))
