"""Both sides of the way from a CRM to a tool, in a process of its own: an org that pushes and a workspace, with deals that are won one by one.

python -m bench.push_stage DEALS            prints the environment to reach both; then reads a line of JSON for each thing to do:
{"push_to": URL}                            the org tells of its deals there, and again after a second when nobody took it
{"win": N, "per_second": R, "lose": n}      N more deals are won, evenly; every nth push is lost, without anybody noticing
{"look": true}                              prints what became of the deals won so far
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from bench import data
from bench.sandbox import asana, clock
from sandbox.salesforce import Salesforce
from sandbox.web import Sandbox, serve


class Stage:
    def __init__(self, deals: int) -> None:
        self.crm = Salesforce(clock)
        self.tool, self.env = asana()
        end = clock() - timedelta(hours=1)
        rows = [{**row, "StageName": data.STAGES[0], "CreatedDate": end, "SystemModstamp": end} for row in data.deals(deals, 1)]
        self.crm.org.bulk_load("Account", data.customers(1))
        self.crm.org.bulk_load("Opportunity", rows)
        self.open = [(row["Id"], row["Name"]) for row in rows]
        self.won: dict[str, float] = {}

    async def win(self, count: int, per_second: float) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
            deal, name = self.open.pop()
            self.crm.org.update("Opportunity", deal, {"StageName": data.WON})
            self.won[name] = clock().timestamp()

    def look(self) -> dict[str, Any]:
        """Seconds from the winning of each deal to its project's being visible, and what is there twice or not at all."""
        shown = [(at.timestamp(), name) for at, _, name in self.tool.world.visible_history]  # type: ignore[attr-defined]
        times = Counter(name for _, name in shown)
        first = {name: at for at, name in reversed(shown)}
        return {
            "seconds": [round(first[name] - at, 3) for name, at in self.won.items() if name in first],
            "lost": [name for name in self.won if name not in first],
            "doubled": [name for name, count in times.items() if count > 1],
            "unasked": [name for name in times if name not in self.won],
            "pushes": dict(self.crm.sender.sent),
            "dropped": self.crm.sender.way.lost,
        }


async def main(deals: int) -> None:
    stage = Stage(deals)
    async with AsyncExitStack() as stack:
        crm, tool = [await stack.enter_async_context(serve(Sandbox(app))) for app in (stage.crm, stage.tool)]
        _say(
            {
                **stage.env,
                "SALESFORCE_URL": crm,
                "SALESFORCE_SECRET": stage.crm.oauth.client_secret,
                "SALESFORCE_ORGANIZATION": stage.crm.org.id,
                "ASANA_URL": f"{tool}/api/1.0",
            }
        )
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            if url := asked.get("push_to"):
                stage.crm.push_to(url, first_retry=1.0)
            if count := asked.get("win"):
                stage.crm.sender.way.lose = asked.get("lose", 0)
                await stage.win(count, asked["per_second"])
            _say(stage.look() if asked.get("look") else {})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
