"""The Salesforce source keeps what every source promises, over its sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.conformance.source import Rig, SourceConformance
from tests.connectors.salesforce_rig import rig


class TestSalesforce(SourceConformance):
    def rig(self) -> Rig:
        return Rig(*rig())


class TestSalesforceInBulk(SourceConformance):
    """The same with every first read going through Bulk API 2.0, whose pages cannot be resumed from in the middle."""

    exempt: ClassVar[Mapping[str, str]] = {
        "test_an_exhausted_quota_stops_the_pull": "the first page comes after as many calls as the whole read, so there is no cursor in between",
    }

    def rig(self) -> Rig:
        return Rig(*rig(bulk_above=0))
