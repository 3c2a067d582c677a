"""The whole way from a real Roundup: an urgent bug becomes a project, once, and the bug tells where it is; whatever is edited meanwhile stays."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Runtime
from sandbox.web import InProcess
from tests.flows.world import World
from tests.real.roundup import PERSON, Person, Roundup
from tests.real.wire import Beside, Wire

SHIPPED = Path(__file__).parents[2] / "mappings" / "roundup.yaml"
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("roundup")]

RULES = """
version: 1
sources: [roundup]
timezone: UTC
rules:
  - name: help
    on: [feedback.created]
    when: feedback.rating is not none and feedback.rating <= 2
    do:
      - create: help
        target: asana
"""
HELP = """
version: 1
name: help
for: feedback
project:
  name: "Help: {{ feedback.subject }}"
  owner: "{{ feedback.owner.email }}"
sections:
  - slot: now
    name: Now
    tasks:
      - slot: answer
        name: Answer
        notes: "{{ feedback.body }}"
        assignee: "{{ feedback.owner.email }}"
"""


class Here(World):
    """A world whose feedback comes from a real Roundup."""

    def __init__(self, path: Path, place: Roundup) -> None:
        files = {"rules.yaml": RULES, "mappings/roundup.yaml": SHIPPED.read_text(encoding="utf-8"), "mappings/blueprints/help.yaml": HELP}
        super().__init__(path, files=files)
        place.wipe()
        self.board.add_user("Ann", PERSON)
        self.env |= {"ROUNDUP_URL": place.url, "ROUNDUP_LOGIN": place.login, "ROUNDUP_PASSWORD": place.password}

    def runtime(self) -> Runtime:
        return Runtime(clock=self.clock, sleep=self.clock.sleep, random=random.Random(7), transport=Beside(InProcess(self.hosts), Wire()))


@pytest.fixture
def person(roundup: Roundup) -> Iterator[Person]:
    somebody = roundup.person()
    yield somebody
    somebody.close()


async def test_an_urgent_bug_becomes_a_project_and_is_told_of_it(tmp_path: Path, roundup: Roundup, person: Person) -> None:
    world = Here(tmp_path, roundup)
    person.make("bug", title="Long known", priority="urgent")
    await world.sync()
    message = person.make("msg", content="Nothing works.", author="1")
    bug = person.make("bug", title="It is down", messages=message, priority="immediate", assignee=roundup.ann)
    person.make("bug", title="A wish", priority="low")
    await world.quiet()
    assert world.shown() == ["Help: It is down"]
    assert "Nothing works." in world.task("Answer")["notes"]
    held = person.held(f"bug/{bug}")
    assert str(held["handoff_project_url"]).startswith("https://")
    person.change(f"bug/{bug}", title="It was down", status="closed")
    await world.quiet()
    assert world.shown() == ["Help: It is down"]
    assert person.held(f"bug/{bug}")["title"] == "It was down"
