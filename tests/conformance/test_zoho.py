"""The Zoho CRM source keeps what every source promises, over its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from tests.conformance.source import Rig, SourceConformance
from tests.connectors.zoho_rig import Street, rig, street

NO_MERGE = "Zoho lists a merged record as deleted, and does not say what it was merged into"


@pytest.fixture(scope="module")
def over() -> Iterator[Street]:
    with street() as built:
        yield built


class TestZoho(SourceConformance):
    exempt: ClassVar[Mapping[str, str]] = {"test_a_merge_names_the_winner": NO_MERGE}

    def rig(self) -> Rig:
        return Rig(*rig())


class TestZohoBySdk(SourceConformance):
    """The same requests sent by the vendor's own client, over TCP."""

    exempt: ClassVar[Mapping[str, str]] = {"test_a_merge_names_the_winner": NO_MERGE}

    @pytest.fixture(autouse=True)
    def _on_the_street(self, over: Street) -> None:
        self.over = over

    def rig(self) -> Rig:
        return Rig(*rig(over=self.over, backend="zcrmsdk"))
