"""One backfill at a desk, and whether it came out as it would have undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.desk import Desk, desk, local
from tests.flows.files import RULES
from tests.processes.picture import picture

Picture = dict[str, dict[str, Any]]
LATE_COMMIT = 2  # seconds the stand-in may still be busy with a request whose sender is gone: far more than it ever is


@contextmanager
def won_deals(path: Path, count: int, state: str = "") -> Iterator[Desk]:
    """A desk with that many won deals, all of them due by the rule's own backfill; its state is a file, or at the URL given."""
    rules = RULES.replace("projects_per_run: 10", f"projects_per_run: {10 * count}").replace(
        "  - name: onboard\n", "  - name: onboard\n    backfill: 2026-01-01\n"
    )
    mapping = local({})["mappings/asana.yaml"].replace("  workspace:", f"  late_commit_seconds: {LATE_COMMIT}\n  workspace:")
    with desk(path) as ready:
        ready.env["HANDOFF_STATE"] = state or ready.env["HANDOFF_STATE"]
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


def rest(at: Desk, most: int = 6) -> list[str]:
    """Let it run in peace until there is nothing left; gives what went wrong."""
    wrong = []
    for _ in range(most):
        done = at.do("sync", "--json")
        if done.exit_code != 0:
            wrong.append(f"a run in peace ended with {done.exit_code}: {done.output}")
        if '"nothing to do"' in done.stdout:
            break
    else:
        wrong.append("it does not come to rest")
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
