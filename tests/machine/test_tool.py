"""The awkward tool keeps every promise of a target, however awkward it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.conformance.target import Rig, TargetConformance
from tests.flows.world import Clock
from tests.machine.tool import AwkwardTarget, AwkwardTool, Ways


def rig(ways: Ways) -> Rig:
    tool = AwkwardTool(Clock(), ways)
    return Rig(tool, lambda: AwkwardTarget(tool))


class TestProvisional(TargetConformance):
    def rig(self) -> Rig:
        return rig(Ways())


class TestOneByOne(TargetConformance):
    def rig(self) -> Rig:
        return rig(Ways(batch=1))


class TestSeenFromBirth(TargetConformance):
    exempt: ClassVar[Mapping[str, str]] = {
        "test_nobody_sees_a_project_before_it_is_published": "its projects are seen from birth",
        "test_a_late_commit_beside_a_second_attempt_stays_out_of_sight_and_is_swept": "its projects are seen from birth",
    }

    def rig(self) -> Rig:
        return rig(Ways(provisional=False))
