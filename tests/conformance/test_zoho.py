"""The Zoho CRM source keeps what every source promises, over its sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.conformance.source import Rig, SourceConformance
from tests.connectors.zoho_rig import rig

NO_MERGE = "Zoho lists a merged record as deleted, and does not say what it was merged into"


class TestZoho(SourceConformance):
    exempt: ClassVar[Mapping[str, str]] = {"test_a_merge_names_the_winner": NO_MERGE}

    def rig(self) -> Rig:
        return Rig(*rig())
