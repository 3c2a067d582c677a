"""One backfill at a desk, and whether it came out as it would have undisturbed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from state import Store
from tests.flows.desk import Desk, desk, local
from tests.flows.files import RULES
from tests.processes.picture import picture

Picture = dict[str, dict[str, Any]]
LATE_COMMIT = 2  # seconds the stand-in may still be busy with a request whose sender is gone: far more than it ever is


@contextmanager
def won_deals(path: Path, count: int, state: str = "", *, per_minute: int = 1_000_000) -> Iterator[Desk]:
    """A desk with that many won deals, all of them due by the rule's own backfill; its state is a file, or at the URL given.

    Each process sends the tool at most so many requests `per_minute`.
    """
    rules = RULES.replace("projects_per_run: 10", f"projects_per_run: {10 * count}").replace(
        "  - name: onboard\n", "  - name: onboard\n    backfill: 2026-01-01\n"
    )
    mapping = local({})["mappings/asana.yaml"].replace("  workspace:", f"  late_commit_seconds: {LATE_COMMIT}\n  workspace:")
    mapping = mapping.replace("per_minute: 1000000", f"per_minute: {per_minute}")
    with desk(path) as ready:
        if state:
            ready.env["HANDOFF_STATE"] = state
            Store(state, now=datetime.now(UTC)).close()  # workers want one that is there
        ready.world.configure(local({"rules.yaml": rules, "mappings/asana.yaml": mapping}))
        for number in range(count):
            customer = ready.world.account(f"Customer {number}")
            deal = ready.world.deal(f"Deal {number}", stage="Closed Won", AccountId=customer)
            for line in range(number % 3):
                ready.world.line(deal, f"part {line} of {number}")
        yield ready


def undisturbed(path: Path, count: int) -> Picture:
    """What such a backfill comes to."""
    with won_deals(path, count) as at:
        assert at.do("sync").exit_code == 0
        return picture(at.world)


def rest(at: Desk) -> list[str]:
    """Let it run in peace until there is nothing left; gives what went wrong. On a server it may take as long as a dead process's leases last."""
    wrong: list[str] = []
    shared = "://" in at.env["HANDOFF_STATE"]
    end = time.monotonic() + (150 if shared else 60)
    while (done := at.told("sync"))["result"] != "nothing to do" or at.told("status")["counts"]["open"]:
        if time.monotonic() > end or (not shared and done["result"] not in {"done", "waiting"}):
            wrong.append(f"it does not come to rest: {done}")
            break
        time.sleep(2 if shared else 0)
    sound = at.do("state", "verify")
    return [*wrong, *([sound.output] if sound.exit_code != 0 else [])]


def differences(found: Picture, wanted: Picture) -> list[str]:
    """In words, per project and deal."""
    return [
        f"{part}: {name}: {found[part].get(name)} instead of {wanted[part].get(name)}"
        for part in wanted
        for name in {**wanted[part], **found[part]}
        if found[part].get(name) != wanted[part].get(name)
    ]
