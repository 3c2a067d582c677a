"""The Redmine target keeps what every target promises, over a real Redmine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from tests.conformance.target import Rig, TargetConformance
from tests.real.redmine import Redmine
from tests.real.redmine_rig import RedmineTool

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("redmine")]

ORDER = "Redmine shows versions by their dates and names; they have no order of their own"


class TestRedmine(TargetConformance):
    examples = 10
    exempt: ClassVar[Mapping[str, str]] = {
        "test_sections_stand_in_the_order_given_with_none_besides": ORDER,
        "test_sections_keep_their_order_when_an_answer_is_lost": ORDER,
        "test_a_forgotten_story_is_told": "Redmine is asked by modification times, which reach back to the beginning: it forgets nothing",
    }

    @pytest.fixture(autouse=True)
    def _server(self, redmine: Redmine) -> None:
        self.server = redmine

    def rig(self) -> Rig:
        tool = RedmineTool(self.server)
        return Rig(tool, tool.target)
