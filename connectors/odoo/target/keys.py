"""Keys as external ids: Odoo itself holds one record for each, and writes it in the transaction that makes the record.

https://www.odoo.com/documentation/19.0/developer/reference/backend/data.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from connectors.http import Effect
from connectors.odoo.rpc import Rpc

_MODULE = "handoff."
_MILESTONE = "!milestone"


def external_id(key: str) -> str:
    """`handoff.salesforce:deal:006/onboarding`: readable, without a second dot, and the key again by `key_of`."""
    return _MODULE + quote(key, safe="/:@+;=-_~").replace(".", "%2E")


def milestone_id(key: str) -> str:
    """The external id of the milestone that a task with this key stands for."""
    return external_id(key) + _MILESTONE


def key_of(external: str) -> str:
    """The key in an external id; empty when it is none of ours."""
    ours = external.startswith(_MODULE) and not external.endswith(_MILESTONE)
    return unquote(external.removeprefix(_MODULE)) if ours else ""


async def externals(rpc: Rpc, model: str, ids: Iterable[int]) -> Mapping[int, str]:
    """The external ids of the records that have one. It is the first a record was given: an export may have added another."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    told = await rpc.call(model, "get_external_id", effect=Effect.READ, ids=wanted)
    return {int(id): str(external) for id, external in told.items() if external}
