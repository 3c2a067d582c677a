"""After the demo the stand-ins may stay, for every other verb: a `.env` beside the demo's configuration leads to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sandbox.salesforce import Salesforce

_ANYBODY = "demo"  # a token of the stand-in's


async def stay(folder: Path, env: Mapping[str, str], salesforce: Salesforce, console: Console) -> None:
    """Until somebody stops it. `env` says where the stand-ins are, `folder` holds the configuration."""
    path = folder / ".env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={env[name]}\n" for name in env if name.startswith(("SALESFORCE_", "ASANA_"))), encoding="utf-8")
    for head, what in _next(folder, env["SALESFORCE_LOGIN_URL"], salesforce):
        console.print(Text.assemble((f"  {head:15}", "bold"), what), soft_wrap=True)
    console.print(Text("  The stand-ins stay until Ctrl-C, and forget everything then.", style="dim"))
    await asyncio.Event().wait()


def _next(folder: Path, crm: str, salesforce: Salesforce) -> Iterator[tuple[str, str]]:
    yield "Change a rule", str(folder / "rules.yaml")
    salesforce.org.tokens[_ANYBODY] = None
    still = [row for row in salesforce.org.rows("Opportunity") if not row["IsClosed"] and row.get("Type") != "Renewal"]
    if still:
        deal = max(still, key=lambda row: row.get("Amount") or 0)["Id"]
        url = f"{crm}/services/data/v{salesforce.version}/sobjects/Opportunity/{deal}"
        headers = f"-H 'Authorization: Bearer {_ANYBODY}' -H 'Content-Type: application/json'"
        yield "Win a deal", f"""curl -X PATCH {url} {headers} -d '{{"StageName": "Closed Won"}}'"""
    yield "See, and do it", f".venv/bin/handoff plan -C {folder}, and sync"
