"""Tryton as a CRM, on a real server: what every source promises, and what is Tryton's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from tests.conformance.source import Rig, SourceConformance
from tests.real.tryton import Line, Person, Tryton
from tests.real.tryton_crm import TrytonCrm

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("tryton")]


@pytest.fixture(scope="module")
def person(tryton: Tryton) -> Iterator[Person]:
    somebody = tryton.person("crm")
    somebody.log_in()
    yield somebody
    somebody.close()


@pytest.fixture(scope="module")
def line() -> Line:
    return Line()


class TestTryton(SourceConformance):
    examples = 12
    exempt: ClassVar[Mapping[str, str]] = {
        "test_a_deleted_record_is_flagged_and_comes_back_undeleted": "nothing comes back in Tryton: test_a_deletion_is_told_from_the_log",
        "test_an_exhausted_quota_stops_the_pull": "Tryton has no quota of calls",
    }

    @pytest.fixture(autouse=True)
    def _server(self, tryton: Tryton, line: Line, person: Person) -> None:
        self._parts = (tryton, line, person)

    def rig(self) -> Rig:
        crm = TrytonCrm(*self._parts)
        return Rig(crm, crm.source)
