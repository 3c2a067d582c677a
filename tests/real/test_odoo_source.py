"""The Odoo source keeps what every source promises, over a real Odoo and both of its protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from tests.conformance.source import Rig, SourceConformance
from tests.real.odoo import Odoo
from tests.real.odoo_crm import Place, place, rig

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]

NO_TOKEN = "an API key lives until it is revoked, and no client can renew it"
NO_QUOTA = "Odoo counts no calls; a hosted server that refuses some says 429, which is waited for"
NO_TRACE = "a deleted row leaves nothing behind that tells its id from one that never was; the sweep of a pull flags it"


@pytest.fixture(scope="module")
def crm_place(odoo: Odoo) -> Iterator[Place]:
    with place(odoo) as ready:
        yield ready


class _Odoo(SourceConformance):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_a_token_revoked_in_mid_pull_is_renewed": NO_TOKEN,
        "test_an_exhausted_quota_stops_the_pull": NO_QUOTA,
        "test_a_deleted_record_is_read_as_deleted": NO_TRACE,
    }
    examples = 3
    protocol: ClassVar[str]
    _place: Place

    @pytest.fixture(autouse=True)
    def _on(self, crm_place: Place) -> None:
        self._place = crm_place

    def rig(self) -> Rig:
        return Rig(*rig(self._place, protocol=self.protocol))


class TestJson2(_Odoo):
    protocol = "json2"


class TestJsonRpc(_Odoo):
    examples = 1
    protocol = "jsonrpc"
