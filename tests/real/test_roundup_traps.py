"""What Roundup does that no other system does, on a real server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from connectors.base import ConfigError, Report
from connectors.roundup import RoundupSource
from engine.config import SystemMapping
from engine.mapping import Mapper, reads
from engine.yaml import parse
from tests.conformance.source import Rig, names, pull, settled
from tests.real.roundup import PERSON, Person, Roundup
from tests.real.roundup_rig import STATUS, DatedWire, RoundupCrm

SHIPPED = Path(__file__).parents[2] / "mappings" / "roundup.yaml"

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("roundup")]


@pytest.fixture(scope="module")
def person(roundup: Roundup) -> Iterator[Person]:
    somebody = roundup.person()
    yield somebody
    somebody.close()


@pytest.fixture
def crm(roundup: Roundup, person: Person) -> RoundupCrm:
    return RoundupCrm(roundup, person)


def shipped(crm: RoundupCrm) -> tuple[RoundupSource, Mapper]:
    """A source by the mapping that is shipped, and what makes feedback of its records."""
    document = parse(SHIPPED.read_text(encoding="utf-8"), SHIPPED.name)
    mapping = SystemMapping.model_validate(document.data)
    return crm.source(reads=reads(mapping)), Mapper(mapping)


async def test_the_shipped_mapping_makes_feedback_of_a_bug(crm: RoundupCrm) -> None:
    (row,) = crm.add(["It is slow"])
    crm.person.change(f"bug/{row}", priority="urgent", status="open")
    crm.person.change(f"msg/{crm.message(row)}", content="Since Monday.\nEvery page.")
    opened, mapper = shipped(crm)
    async with opened as source:
        (record,) = await source.read("feedback", [row])
    mapped = mapper.map(record)
    feedback = mapped.value
    assert mapped.issues == ()
    assert (feedback.subject, feedback.body, feedback.status, feedback.rating) == ("It is slow", "Since Monday.\nEvery page.", "open", 2)
    assert (feedback.owner.name, feedback.owner.email, feedback.created_at) == ("Ann Arbor", PERSON, crm.clock.now)
    assert feedback.url == f"{crm.place.url}/bug{row}"
    assert feedback.custom == {"resolution": None, "reporter": "a@example.org"}


async def test_a_bug_with_nothing_but_a_title_is_read(crm: RoundupCrm) -> None:
    row = crm.person.make("bug", title="Nothing more")
    opened, mapper = shipped(crm)
    async with opened as source:
        (record,) = await source.read("feedback", [row])
    mapped = mapper.map(record)
    assert (mapped.value.subject, mapped.value.body, mapped.value.rating) == ("Nothing more", "", None)
    assert mapped.issues == ()


async def test_a_filter_is_meant_in_the_users_own_zone_and_nothing_is_missed(crm: RoundupCrm) -> None:
    with crm.place.sql() as sql:
        sql.execute("UPDATE _user SET _timezone = '-11' WHERE _username = ?", (crm.place.login,))
    rig = Rig(crm, lambda: crm.source(sweep_minutes=60))
    crm.add(["old"])
    seen = await settled(rig)
    crm.add(["new"])
    assert names(rig, await pull(rig, seen)) == {"new"}


async def test_a_retired_bug_is_flagged_though_its_stamp_stays_and_it_can_still_be_had(crm: RoundupCrm) -> None:
    rig = Rig(crm, crm.source)
    kept, gone = crm.add(["kept", "gone"])
    seen = await settled(rig)
    crm.delete(gone)
    assert crm.person.held(f"bug/{gone}")["title"] == "gone"
    seen = await pull(rig, seen)
    assert [(record.id, record.deleted) for record in seen.records] == [(gone, True)]
    crm.undelete(gone)
    assert (await pull(rig, seen)).ids.keys() == {gone}
    assert kept not in seen.ids


async def test_what_a_lost_right_hides_is_not_taken_for_retired(crm: RoundupCrm) -> None:
    """By the rules of a tracker a bug may leave the list, and be refused by its id."""
    rig = Rig(crm, crm.source)
    rows = crm.add(["one", "two"])
    seen = await settled(rig)
    crm.wire = Blindfold(crm, rows[:1])
    assert (await pull(rig, seen)).records == []


async def test_what_is_hidden_does_not_keep_what_is_retired_from_being_noticed(crm: RoundupCrm) -> None:
    rig = Rig(crm, crm.source)
    *hidden, gone, _ = crm.add(["one", "two", "three", "four"])
    seen = await settled(rig)
    crm.delete(gone)
    crm.wire = Blindfold(crm, hidden)
    seen = await pull(rig, seen)
    seen = await pull(rig, seen)
    assert [(record.id, record.deleted) for record in seen.records] == [(gone, True)]
    crm.wire = DatedWire(crm.clock)
    assert not any(record.deleted for record in (await pull(rig, seen)).records)


class Blindfold(DatedWire):
    """As a server whose rules let this user no longer see some bugs."""

    def __init__(self, crm: RoundupCrm, rows: Sequence[str]) -> None:
        super().__init__(crm.clock)
        self.rows = rows

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if request.url.path.rpartition("/bug/")[2] in self.rows:
            return httpx.Response(403, json={"error": {"status": 403, "msg": "Forbidden."}}, request=request)
        if request.url.path.endswith("/bug"):
            rows = [row for row in answer.json()["data"]["collection"] if row["id"] not in self.rows]
            return httpx.Response(200, json={"data": {"collection": rows}}, headers={"Date": answer.headers["Date"]}, request=request)
        return answer


class Meddling(DatedWire):
    """Just before the first change leaves, somebody else changes the same bug."""

    def __init__(self, crm: RoundupCrm, row: str, **values: object) -> None:
        super().__init__(crm.clock)
        self.crm, self.row, self.values = crm, row, values

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and self.values:
            values, self.values = self.values, {}
            self.crm.person.change(f"bug/{self.row}", **values)
        return await super().handle_async_request(request)


async def test_somebodys_simultaneous_edit_is_kept_and_ours_is_written_after_all(crm: RoundupCrm) -> None:
    (row,) = crm.add(["as it was"])
    crm.wire = Meddling(crm, row, title="edited meanwhile")
    async with crm.source() as source:
        assert list(await source.write_back([crm.good_row(row, "on track")])) == [None]
    held = crm.person.held(f"bug/{row}")
    assert (held["title"], held[STATUS]) == ("edited meanwhile", "on track")
    assert [request.method for request in crm.wire.sent] == ["GET", "PATCH", "GET", "PATCH"]


async def test_what_is_there_already_is_not_written_again(crm: RoundupCrm) -> None:
    (row,) = crm.add(["quiet"])
    async with crm.source() as source:
        await source.write_back([crm.good_row(row, "on track")])
        await source.write_back([crm.good_row(row, "on track")])
    assert [request.method for request in crm.wire.sent] == ["GET", "PATCH", "GET"]


async def test_check_names_every_field_that_is_not_in_the_schema_at_its_place(crm: RoundupCrm) -> None:
    opened, _ = shipped(crm)
    async with opened as source:
        assert isinstance(await source.check(), Report)
    async with crm.source(write_back={"feedback": {"project_url": "no_such", "project_key": "neither"}}) as source:
        with pytest.raises(ConfigError) as caught:
            await source.check()
    assert [problem.path for problem in caught.value.problems] == [
        ("write_back", "feedback", "project_url"),
        ("write_back", "feedback", "project_key"),
    ]


async def test_an_address_without_a_tracker_is_a_problem_of_the_url(crm: RoundupCrm) -> None:
    async with crm.source(url=crm.place.url.removesuffix("/tr") + "/nothing") as source:
        with pytest.raises(ConfigError) as caught:
            await source.check()
    assert caught.value.problems[0].path == ("connection", "url")


async def test_it_describes_what_a_mapping_may_name(crm: RoundupCrm) -> None:
    crm.add(["one"])
    async with crm.source() as source:
        told = await source.describe()
    (bugs,) = told.objects
    fields = {field.path: field for field in bugs.fields}
    assert (bugs.name, bugs.kind) == ("bug", "feedback")
    assert {"title", "messages.content", "assignee.address", "creation", STATUS} <= fields.keys()
    assert "urgent" in fields["priority"].choices
    assert [stage.name for stage in told.stages] == ["new", "open", "closed", "pending"]
    assert PERSON in {member.email for member in told.people}


async def test_moments_come_as_moments(crm: RoundupCrm) -> None:
    (row,) = crm.add(["2026-11-22.10:00:00"])
    opened, _ = shipped(crm)
    async with opened as source:
        (record,) = await source.read("feedback", [row])
    assert record.fields["title"] == "2026-11-22.10:00:00"
    assert datetime.fromisoformat(record.fields["creation"]) == crm.clock.now
