"""What a run leaves behind for those who watch: how much of each system's budget of calls is left, and how often runs ended in which error."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from connectors.base import Budget, ConnectorError, kind_of
from state import Store
from state.codec import moment, stamp

_BUDGET, _ERRORS = "quota:", "errors:"


def note(store: Store, budgets: Mapping[str, Budget | None], failed: Iterable[ConnectorError | None], now: datetime) -> None:
    """`budgets` as the systems told them in this run, None for those that did not; `failed` is what went wrong in it."""
    kinds = Counter(kind_of(error) for error in failed if error is not None)
    with store.transaction():
        for system, budget in budgets.items():
            if budget is not None:
                store.save_meta(f"{_BUDGET}{system}", json.dumps({"left": budget.left, "most": budget.most, "at": stamp(now)}))
        for kind, count in kinds.items():
            store.save_meta(f"{_ERRORS}{kind}", str(int(store.meta(f"{_ERRORS}{kind}") or 0) + count))


def budgets(store: Store) -> dict[str, tuple[Budget, datetime]]:
    """As last told, and when."""
    found = {name: json.loads(text) for name, text in store.metas(_BUDGET).items()}
    return {name: (Budget(told["left"], told["most"]), moment(told["at"])) for name, told in found.items()}


def errors(store: Store) -> dict[str, int]:
    """How many runs met an error, by its kind, since there is this state."""
    return {kind: int(count) for kind, count in store.metas(_ERRORS).items()}
