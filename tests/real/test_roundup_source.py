"""Roundup as a source of feedback, on a real server: what every source promises, and what is Roundup's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from tests.conformance.source import Rig, SourceConformance
from tests.real.roundup import Person, Roundup
from tests.real.roundup_rig import rig

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("roundup")]


@pytest.fixture(scope="module")
def person(roundup: Roundup) -> Iterator[Person]:
    somebody = roundup.person()
    yield somebody
    somebody.close()


class TestRoundup(SourceConformance):
    examples = 1
    exempt: ClassVar[Mapping[str, str]] = {
        "test_a_merge_names_the_winner": "Roundup merges nothing: `superseder` links a bug to another, and both stay",
        "test_a_token_revoked_in_mid_pull_is_renewed": "a password is sent with each call, and no client can renew it",
        "test_an_exhausted_quota_stops_the_pull": "Roundup has no budget of calls, only a rate: 429 with Retry-After, which is waited for",
    }

    @pytest.fixture(autouse=True)
    def _server(self, roundup: Roundup, person: Person) -> None:
        self._parts = (roundup, person)

    def rig(self) -> Rig:
        return rig(*self._parts)
