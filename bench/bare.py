"""The loop to compare with: `python -m bench.bare PROJECTS STATE httpx|aiohttp`. One object after the other, nothing remembered, nothing checked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from itertools import pairwise
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient

SECTIONS, TASKS, SUBTASKS = 5, 20, 4


async def create(projects: int, client: httpx.AsyncClient) -> dict[str, Any]:
    began = time.perf_counter()
    for number in range(projects):
        await _project(client, number)
    return {"projects": projects, "objects": projects * (1 + SECTIONS + TASKS + SUBTASKS), "seconds": time.perf_counter() - began}


async def _project(client: httpx.AsyncClient, number: int) -> None:
    project = await _post(client, "/projects", workspace=os.environ["ASANA_WORKSPACE"], name=f"Project {number}")
    sections = [await _post(client, f"/projects/{project}/sections", name=f"Section {at}") for at in range(SECTIONS)]
    tasks = []
    for at in range(TASKS):
        home = {"project": project, "section": sections[at % SECTIONS]}
        tasks.append(await _post(client, "/tasks", name=f"Task {at}", projects=[project], memberships=[home], notes="Do it. " * 20))
    for at in range(SUBTASKS):
        await _post(client, "/tasks", name=f"Part {at}", parent=tasks[at])
    for before, after in pairwise(tasks):
        await _post(client, f"/tasks/{after}/addDependencies", dependencies=[before])


async def _post(client: httpx.AsyncClient, path: str, **fields: Any) -> str:
    answer = await client.post(path, json={"data": fields})
    answer.raise_for_status()
    return str(answer.json()["data"].get("gid", ""))


async def main(projects: int, transport: str) -> dict[str, Any]:
    kind = HttpxAiohttpClient if transport == "aiohttp" else httpx.AsyncClient
    headers = {"Authorization": f"Bearer {os.environ['ASANA_TOKEN']}"}
    async with kind(base_url=os.environ["ASANA_URL"], headers=headers) as client:
        return await create(projects, client)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(int(sys.argv[1]), sys.argv[3]))))
