"""The Kanboard target keeps what every target promises, over a real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from tests.conformance.target import Rig, TargetConformance
from tests.real.kanboard import Kanboard
from tests.real.kanboard_rig import KanboardTool

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("kanboard")]


class TestKanboard(TargetConformance):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_two_tasks_with_one_key_are_a_conflict": "a creation looks first, so it makes no second one: test_a_copied_task_is_a_conflict",
        "test_a_forgotten_story_is_told": "there is no story to forget: projects are listed and compared with what the cursor says",
    }

    examples = 15

    @pytest.fixture(autouse=True)
    def _server(self, kanboard: Kanboard) -> None:
        self._kanboard = kanboard

    def rig(self) -> Rig:
        tool = KanboardTool(self._kanboard, members=(self._kanboard.known,))
        return Rig(tool, tool.target)
