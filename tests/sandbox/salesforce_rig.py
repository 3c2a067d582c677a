"""A small org behind an in-process client, and a clock that moves when told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from sandbox.salesforce import Salesforce
from sandbox.web import InProcess, Sandbox

BASE = "http://salesforce.test"
START = datetime(2026, 11, 22, 10, tzinfo=UTC)
DEAL = {"StageName": "Prospecting", "CloseDate": date(2026, 12, 1)}


class Rig:
    def __init__(self, **settings: Any) -> None:
        self.now = START
        self.sf = Salesforce(lambda: self.now, **settings)
        self.org = self.sf.org
        self.box = Sandbox(self.sf)
        self.token = ""

    def wait(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now

    def deal(self, name: str = "Deal", **fields: Any) -> str:
        return self.org.insert("Opportunity", {"Name": name, **DEAL, **fields})

    async def send(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **how: Any) -> httpx.Response:
        """A request as it is, without a token; a path without a leading `/services` is taken below the API version."""
        url = BASE + (path if path.startswith("/services") else f"/services/data/v66.0/{path}")
        async with httpx.AsyncClient(transport=InProcess({BASE: self.box})) as client:
            return await client.request(method, url, headers=headers, **how)

    async def login(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": "handoff-client", "client_secret": "handoff-secret"}
        answer = await self.send("POST", "/services/oauth2/token", data=form)
        self.token = str(answer.json()["access_token"])
        return self.token

    async def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **how: Any) -> httpx.Response:
        token = self.token or await self.login()
        return await self.send(method, path, headers={"Authorization": f"Bearer {token}", **(headers or {})}, **how)

    async def query(self, soql: str, *, everything: bool = False, size: int | None = None) -> dict[str, Any]:
        """The first page of an answer that must be a good one."""
        headers = {"Sforce-Query-Options": f"batchSize={size}"} if size else {}
        answer = await self.ask("GET", "queryAll" if everything else "query", params={"q": soql}, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def column(self, soql: str, name: str = "Name", *, everything: bool = False) -> list[Any]:
        return [record[name] for record in (await self.query(soql, everything=everything))["records"]]

    async def refusal(self, soql: str) -> tuple[str, str]:
        """The code and the words of a query that must be refused."""
        answer = await self.ask("GET", "query", params={"q": soql})
        assert answer.status_code == 400, answer.text
        [error] = answer.json()
        return error["errorCode"], error["message"]
