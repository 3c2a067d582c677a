"""Tryton as a CRM, on a real server: what every source promises, and what is Tryton's own."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from connectors.base import ConfigError, Rejected, Transient
from engine.config import SystemMapping
from engine.mapping import Mapper, reads
from engine.model import CrmKind, Read, WriteBack
from engine.yaml import parse
from tests.conformance.source import Rig, Seen, SourceConformance, names, pull, settled, some
from tests.real.tryton import Line, Person, Tryton, method
from tests.real.tryton_crm import DATABASE, DEAL, LINE, TrytonCrm

SHIPPED = Path(__file__).parents[2] / "mappings" / "tryton.yaml"

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
    examples = 5
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


class TestOwnTraps:
    """What Tryton does that no other CRM does."""

    @pytest.fixture(autouse=True)
    def _server(self, tryton: Tryton, line: Line, person: Person) -> None:
        self.server, self.line, self.person = tryton, line, person
        self.crm = TrytonCrm(tryton, line, person)
        self.rig = Rig(self.crm, self.crm.source)

    async def test_a_deal_that_was_never_changed_is_seen_though_its_write_date_is_empty(self) -> None:
        (row,) = self.crm.add(["new"])
        (held,) = self.person.call(f"model.{DEAL}.read", [int(row)], ["write_date"])
        assert held["write_date"] is None
        seen = await settled(self.rig)
        self.crm.add(["newer"])
        assert names(self.rig, await pull(self.rig, seen)) == {"newer"}

    async def test_a_deletion_is_told_from_the_log(self) -> None:
        rows = self.crm.add(some(13))
        gone = [rows[0], rows[9], rows[10], rows[12]]
        seen = await settled(self.rig)
        refused = self.person.ask(f"model.{DEAL}.delete", [int(rows[0])])
        assert "cancel" in refused["error"][1][0]
        for row in gone:
            self.crm.delete(row)
        more = await pull(self.rig, seen)
        assert sorted(record.id for record in more.records) == sorted(gone)
        assert all(record.deleted and record.modified_at == self.crm.clock.now for record in more.records)
        assert (await pull(self.rig, more)).records == []

    async def test_what_was_deleted_before_the_first_look_is_never_told(self) -> None:
        old, kept = self.crm.add(["old", "kept"])
        self.crm.delete(old)
        seen = await pull(self.rig)
        assert set(seen.ids) == {kept}
        assert (await pull(self.rig, seen)).records == []

    async def test_the_buttons_of_a_deal_make_its_history(self) -> None:
        """The log has no line of the transition itself when the button's own code sets the state."""
        (row,) = self.crm.add(["deal"])
        lines = self.person.call("model.sale.opportunity.line.search", [["opportunity", "=", int(row)]], 0, None, None)
        self.crm.set(row, lines=[["delete", lines]])  # a line without a price makes no sale
        for button in ("opportunity", "lost", "lead", "cancel", "lead", "opportunity", "convert"):
            self.crm.clock.move(minutes=1)
            self.crm.press(row, button)
        record = (await pull(self.rig)).latest[row]
        states = [each["state"] for each in record.fields["stage_history"]]
        assert states == ["opportunity", "lost", "lead", "cancelled", "lead", "opportunity", "converted"]
        assert record.fields["state"] == "converted"
        at = [datetime.fromisoformat(each["at"]) for each in record.fields["stage_history"]]
        assert at == sorted(at)
        assert at[-1] == self.crm.clock.now

    async def test_won_lost_and_reopened_are_seen_one_after_the_other(self) -> None:
        (row,) = self.crm.add(["deal"])
        seen = await pull(self.rig)
        for act, state in (("opportunity", "opportunity"), ("lost", "lost"), ("lead", "lead"), ("", "won")):
            self.crm.clock.move(minutes=1)
            if act:
                self.crm.press(row, act)
            else:
                self.crm.set(row, state=state)
            seen = await pull(self.rig, seen)
            assert seen.latest[row].fields["state"] == state

    async def test_a_button_that_does_not_fit_is_refused(self) -> None:
        (row,) = self.crm.add(["deal"])
        self.crm.press(row, "cancel")
        assert self.person.ask(f"model.{DEAL}.convert", [int(row)])["error"][0] == "UserError"

    async def test_a_simultaneous_edit_is_never_overwritten(self) -> None:
        """Somebody writes between our reading and our writing."""
        (row,) = self.crm.add(["deal"])
        self.crm.set(row, comment="Call on Monday")
        meddled: list[int] = []

        def meddle(request: httpx.Request) -> bool:
            if method(request) == f"model.{DEAL}.write" and not meddled:
                meddled.append(1)
                self.crm.clock.move(seconds=1)
                self.crm.set(row, comment="Call on Tuesday")
            return False

        self.line.fault(meddle, "broken", times=-1)
        async with self.crm.source() as source:
            assert list(await source.write_back([self.crm.good_row(row, "on track")])) == [None]
        (held,) = self.person.call(f"model.{DEAL}.read", [int(row)], ["comment"])
        assert held["comment"] == f"Call on Tuesday\n{LINE}: on track"

    async def test_the_rest_interface_has_no_such_lock(self) -> None:
        """Why the connector calls by RPC with a password, and not by REST with a key."""
        (row,) = self.crm.add(["deal"])
        url = f"{self.server.url}/{DATABASE}"
        stale = urlsafe_b64encode(json.dumps({"_timestamp": {f"{DEAL},{row}": "1.5"}}).encode()).decode()
        async with httpx.AsyncClient(trust_env=False) as http:
            key = (await http.post(f"{url}/user/application/", json={"user": self.server.login, "application": "rest"})).json()
            (asked, *_) = self.person.call("model.res.user.application.search", [["key", "=", key]], 0, None, None)
            self.person.call("model.res.user.application.validate_", [asked])
            headers = {"Authorization": f"Bearer {key}", "X-Tryton-Context": stale}
            place = f"{url}/rest/model/{DEAL}/{row}"
            assert (await http.put(place, json={"reference": "over theirs"}, headers=headers)).status_code == 200
            nameless = await http.put(place, json={"nope": 1}, headers=headers)
        (held,) = self.person.call(f"model.{DEAL}.read", [int(row)], ["reference"])
        assert held["reference"] == "over theirs"
        assert (nameless.status_code, "nope" in nameless.text) == (400, False)

    async def test_a_record_changed_again_and_again_is_left_to_the_next_run(self) -> None:
        (row,) = self.crm.add(["deal"])

        def meddle(request: httpx.Request) -> bool:
            if method(request) == f"model.{DEAL}.write":
                self.crm.clock.move(seconds=1)
                self.crm.set(row, comment=f"at {self.crm.clock.now}")
            return False

        self.line.fault(meddle, "broken", times=-1)
        async with self.crm.source() as source:
            (outcome,) = await source.write_back([self.crm.good_row(row, "on track")])
        assert isinstance(outcome, Transient)

    async def test_a_line_of_the_comment_is_ours_and_the_rest_is_theirs(self) -> None:
        (row,) = self.crm.add(["deal"])
        self.crm.set(row, comment=f"First\n{LINE}: old\nLast")
        async with self.crm.source() as source:
            for text in ("new", ""):
                await source.write_back([self.crm.good_row(row, text)])
                (held,) = self.person.call(f"model.{DEAL}.read", [int(row)], ["comment"])
                assert held["comment"] == (f"First\n{LINE}: new\nLast" if text else "First\nLast")

    async def test_equal_values_are_not_written(self) -> None:
        (row,) = self.crm.add(["deal"])
        seen = await pull(self.rig)
        rows = [WriteBack("deal", row, {"reference": "ext-42", "conversion_probability": Decimal("0.5")})]
        async with self.crm.source() as source:
            await source.write_back(rows)
            self.crm.clock.move(minutes=1)
            await source.write_back(rows)
        writes = [request for request in self.line.sent if method(request) == f"model.{DEAL}.write"]
        assert len(writes) == 1
        assert set((await pull(self.rig, seen)).ids) == {row}

    async def test_a_changed_e_mail_of_the_customer_reads_its_deals_again(self) -> None:
        rows = self.crm.add(some(2))
        seen = await settled(self.rig)
        (mail,) = self.person.call("model.party.contact_mechanism.search", [["party", "=", self.crm.party]], 0, None, None)
        self.crm.act("model.party.contact_mechanism.write", [mail], {"value": "new@customer.test"})
        more = await pull(self.rig, seen)
        assert set(more.ids) == set(rows)
        assert more.records[0].fields["contacts"][0]["value"] == "new@customer.test"

    async def test_a_changed_address_reads_its_customer_again(self) -> None:
        seen = await settled_of(self.rig, "customer")
        self.crm.act("model.party.address.create", [{"party": self.crm.party, "city": "Liège"}])
        more = await pull(self.rig, seen, kind="customer")
        assert [(record.id, record.fields["addresses"]) for record in more.records] == [(str(self.crm.party), {"city": "Liège"})]

    async def test_a_value_that_is_wrong_names_its_field(self) -> None:
        (row,) = self.crm.add(["deal"])
        async with self.crm.source() as source:
            results = await source.write_back([WriteBack("deal", row, {"amount": "much"}), WriteBack("deal", row, {"nope": 1})])
        assert [(type(result), getattr(result, "field", "")) for result in results] == [(Rejected, "amount"), (Rejected, "nope")]

    async def test_check_names_every_field_that_is_not_there(self) -> None:
        read = Read(DEAL, ("descripton", "party.nope", "state.x"), places={"descripton": ("deal", "fields", "name")})
        async with self.crm.source({"deal": read}) as source:
            with pytest.raises(ConfigError) as caught:
                await source.check()
        first, second, third = caught.value.problems
        assert (first.path, first.hint) == (("deal", "fields", "name"), "did you mean description?")
        assert "nope" in second.message
        assert "state" in third.message

    async def test_the_mapping_that_ships_fits(self) -> None:
        mapping = SystemMapping.model_validate(parse(SHIPPED.read_bytes(), "tryton.yaml").data)
        (row,) = self.crm.add(["Website relaunch"])
        self.crm.act("model.party.address.create", [{"party": self.crm.party, "city": "Liège"}])
        self.crm.act("model.party.contact_mechanism.create", [{"party": self.crm.party, "type": "phone", "value": "+32 4 123 45 67"}])
        self.crm.press(row, "opportunity")
        mapper, found = Mapper(mapping), dict[str, Any]()
        async with self.crm.source(reads(mapping)) as source:
            await source.check()
            for kind in ("customer", "deal"):
                async for page in source.pull(kind, None):
                    for record in page.records:
                        mapped = mapper.map(record)
                        assert mapped.issues == ()
                        found[f"{kind}:{record.id}"] = mapped.value
        deal, customer = found[f"deal:{row}"], found[f"customer:{self.crm.party}"]
        assert (deal.name, deal.status, deal.stage, deal.amount, deal.currency) == (
            "Website relaunch",
            "open",
            "opportunity",
            Decimal(12500),
            "EUR",
        )
        assert (deal.owner.name, deal.owner.email, deal.customer_id) == ("Ann", self.server.employee, customer.id)
        assert [each.stage for each in deal.stage_history] == ["opportunity"]
        assert [(line.quantity, line.description) for line in deal.line_items] == [(Decimal(2), "a line")]
        assert [(each.email, each.phone) for each in deal.contacts] == [("acme@customer.test", ""), ("", "+32 4 123 45 67")]
        assert (customer.name, customer.city, customer.phone) == ("Acme", "Liège", "+32 4 123 45 67")

    async def test_it_describes_itself(self) -> None:
        async with self.crm.source() as source:
            told = await source.describe()
        assert {one.kind for one in told.objects} == {"customer", "deal"}
        assert [(stage.name, stage.status) for stage in told.stages][2:5] == [("converted", "open"), ("won", "won"), ("lost", "lost")]
        assert self.server.employee in {member.email for member in told.people}


async def settled_of(rig: Rig, kind: CrmKind) -> Seen:
    seen = await pull(rig, kind=kind)
    rig.crm.clock.move(hours=1)
    return await pull(rig, seen, kind=kind)
