"""Odoo Project keeps what every target promises, judged by a real Odoo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from tests.conformance.target import Rig, TargetConformance
from tests.real.odoo import Odoo
from tests.real.odoo_project import OdooTool, prepare

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]


@pytest.fixture(scope="module", autouse=True)
def _prepared(odoo: Odoo) -> None:
    prepare(odoo)


class TestOdoo(TargetConformance):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_a_forgotten_story_is_told": "stamps are asked, not a log; test_a_database_put_back_to_yesterday_is_told tries what can be forgotten",
    }
    examples = 3  # many more go together in test_odoo_target_traps

    @pytest.fixture(autouse=True)
    def _server(self, odoo: Odoo) -> None:
        self.odoo = odoo

    def rig(self) -> Rig:
        tool = OdooTool(self.odoo)
        return Rig(tool, tool.target)
