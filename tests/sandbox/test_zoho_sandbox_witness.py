"""Zoho's own clients, as they are published, drive the stand-in of Zoho CRM over TCP: judges that were not written for it.

zcrmsdk 3.1.0 speaks version 2 and imports a MySQL driver that it does not ask for; zohocrmsdk8-0 speaks version 8. Both keep one
connection for the whole process, so each test connects anew.
"""

from __future__ import annotations

import asyncio
import os
import sys
import types
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.web import Sandbox, serve
from sandbox.zoho import Field, Zoho
from tests.sandbox.receiver import Receiver

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Org:
    """A small organisation that has gone on for a while, behind the real clock."""

    def __init__(self) -> None:
        self.app = Zoho(lambda: datetime.now(UTC))
        self.world = self.app.world
        self.account = self.world.insert("Accounts", {"Account_Name": "Acme"})
        self.contact = self.world.insert("Contacts", {"Last_Name": "Wu", "Email": "wu@example.com", "Account_Name": self.account})
        self.box = Sandbox(self.app)

    def deals(self, count: int) -> list[str]:
        more = {"Stage": "Qualification", "Account_Name": self.account, "Amount": 10.5, "Closing_Date": date(2026, 5, 1)}
        return [self.world.insert("Deals", {"Deal_Name": f"deal {n}", **more}) for n in range(count)]

    async def let(self, act: Callable[[str], Any]) -> Any:
        """What `act` gives for the address of the stand-in, run in a thread beside the loop that serves it."""
        async with serve(self.box) as url:
            return await asyncio.to_thread(act, url)


@pytest.fixture(autouse=True)
def _as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """zcrmsdk as it came, whatever this process did to it before, and again afterwards.

    A stub stands for the driver that it imports and never uses; what sends its requests is what it imports for that.
    """
    driver, connector = types.ModuleType("mysql"), types.ModuleType("mysql.connector")
    connector.Error, driver.connector = Exception, connector  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mysql", driver)
    monkeypatch.setitem(sys.modules, "mysql.connector", connector)
    from zcrmsdk.src.com.zoho.crm.api.initializer import Initializer

    monkeypatch.setattr(sys.modules["zcrmsdk.src.com.zoho.crm.api.util.api_http_connector"], "requests", requests)
    monkeypatch.setattr(Initializer, "initializer", None)


def old(org: Org, folder: Path, url: str) -> types.SimpleNamespace:
    """zcrmsdk, connected."""
    from zcrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken, TokenType
    from zcrmsdk.src.com.zoho.api.authenticator.store import FileStore
    from zcrmsdk.src.com.zoho.api.logger import Logger
    from zcrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap, notes, record, users
    from zcrmsdk.src.com.zoho.crm.api import org as organisation
    from zcrmsdk.src.com.zoho.crm.api.dc import DataCenter
    from zcrmsdk.src.com.zoho.crm.api.initializer import Initializer
    from zcrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
    from zcrmsdk.src.com.zoho.crm.api.user_signature import UserSignature
    from zcrmsdk.src.com.zoho.crm.api.util import Choice

    token = OAuthToken(org.app.oauth.client_id, org.app.oauth.client_secret, "1000.handoff.refresh", TokenType.REFRESH)
    where = DataCenter.Environment(url, f"{url}/oauth/v2/token", url)
    quiet = Logger.get_instance(Logger.Levels.CRITICAL, os.devnull)
    Initializer.initialize(
        UserSignature("crm@example.com"), where, token, FileStore(str(folder / "tokens")), SDKConfig(), str(folder), quiet
    )
    return types.SimpleNamespace(
        HeaderMap=HeaderMap, ParameterMap=ParameterMap, Choice=Choice, record=record, users=users, org=organisation, notes=notes
    )


def new(org: Org, folder: Path, url: str) -> types.SimpleNamespace:
    """zohocrmsdk8-0, connected."""
    from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
    from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
    from zohocrmsdk.src.com.zoho.api.logger import Logger
    from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
    from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
    from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
    from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
    from zohocrmsdk.src.com.zoho.crm.api.util import Choice

    secrets = {"client_id": org.app.oauth.client_id, "client_secret": org.app.oauth.client_secret, "refresh_token": "1000.handoff.refresh"}
    (folder / "tokens").touch()
    where = DataCenter.Environment(url, f"{url}/oauth/v2/token", url)
    quiet = Logger.get_instance(Logger.Levels.CRITICAL, os.devnull)
    Initializer.initialize(where, OAuthToken(**secrets), FileStore(str(folder / "tokens")), SDKConfig(), str(folder), quiet)
    return types.SimpleNamespace(HeaderMap=HeaderMap, ParameterMap=ParameterMap, Choice=Choice)


def params(sdk: types.SimpleNamespace, **given: Any) -> Any:
    """A parameter map; names are those of the class in `of`."""
    kinds, held = given.pop("of"), sdk.ParameterMap()
    for name, value in given.items():
        held.add(getattr(kinds, name), value)
    return held


# zcrmsdk, version 2


async def test_the_old_client_reads_pages_and_single_records(tmp_path: Path) -> None:
    org = Org()
    org.world.add_subform("Deals", "Line_Items", [Field("Quantity", "integer")])
    deals = org.deals(205)
    org.world.update("Deals", deals[0], {"Line_Items": [{"Quantity": 3}]})
    described: list[str] = []
    org.box.recorder = lambda asked, _: described.append(asked.query["module"]) if "/settings/" in asked.path else None

    def act(url: str) -> Any:
        sdk = old(org, tmp_path, url)
        ops, of = sdk.record.RecordOperations(), sdk.record.GetRecordsParam
        pages = [ops.get_records("Deals", params(sdk, of=of, page=n, per_page=200), sdk.HeaderMap()).get_object() for n in (1, 2)]
        single = ops.get_record(int(deals[0]), "Deals", sdk.ParameterMap(), sdk.HeaderMap()).get_object().get_data()[0]
        return pages, single.get_key_values()

    pages, single = await org.let(act)
    assert [(len(page.get_data()), page.get_info().get_more_records()) for page in pages] == [(200, True), (5, False)]
    row = pages[1].get_data()[-1].get_key_values()
    assert (row["Deal_Name"], row["Amount"], row["Stage"].get_value(), row["Closing_Date"]) == (
        "deal 0",
        10.5,
        "Qualification",
        date(2026, 5, 1),
    )
    assert (row["Account_Name"].get_key_value("name"), row["Owner"].get_email()) == ("Acme", "ada@handoff.test")
    assert [each.get_key_value("Quantity") for each in single["Line_Items"]] == [3]
    assert sorted(described) == ["Accounts", "Contacts", "Deals", "Line_Items"]
    assert org.app.calls["token"] == 1


async def test_the_old_client_writes_and_reads_each_rows_result(tmp_path: Path) -> None:
    org = Org()

    def act(url: str) -> Any:
        sdk = old(org, tmp_path, url)
        fields, ops, body = sdk.record.Field.Deals, sdk.record.RecordOperations(), sdk.record.BodyWrapper()
        good, bad = sdk.record.Record(), sdk.record.Record()
        good.add_field_value(fields.deal_name(), "new")
        good.add_field_value(fields.stage(), sdk.Choice("Qualification"))
        good.add_field_value(fields.closing_date(), date(2026, 6, 1))
        bad.add_field_value(fields.stage(), sdk.Choice("Qualification"))
        bad.add_field_value(fields.deal_name(), "x" * 121)
        body.set_data([good, bad])
        body.set_trigger([])
        made = ops.create_records("Deals", body)
        again = ops.upsert_records("Deals", body, sdk.HeaderMap())
        return [[(type(row).__name__, row.get_code().get_value()) for row in each.get_object().get_data()] for each in (made, again)]

    told = await org.let(act)
    assert told == [[("SuccessResponse", "SUCCESS"), ("APIException", "INVALID_DATA")]] * 2
    [deal] = org.world.rows["Deals"].values()
    assert (deal["Deal_Name"], deal["Closing_Date"]) == ("new", "2026-06-01")


async def test_the_old_client_sees_deletions_and_what_is_not_modified(tmp_path: Path) -> None:
    org = Org()
    gone, _ = org.deals(2)
    org.world.delete("Deals", gone)

    def act(url: str) -> Any:
        sdk = old(org, tmp_path, url)
        ops, since = sdk.record.RecordOperations(), sdk.HeaderMap()
        since.add(sdk.record.GetRecordsHeader.if_modified_since, datetime(2100, 1, 1, tzinfo=UTC))
        deleted = ops.get_deleted_records("Deals", sdk.ParameterMap(), sdk.HeaderMap()).get_object().get_data()
        return deleted, ops.get_records("Deals", sdk.ParameterMap(), since).get_status_code()

    deleted, status = await org.let(act)
    assert [(row.get_id(), row.get_display_name(), row.get_type()) for row in deleted] == [(int(gone), "deal 0", "recycle")]
    assert status == 304


async def test_the_old_client_reads_people_and_the_organisation_and_is_told_when_its_token_is_dead(tmp_path: Path) -> None:
    org = Org()

    def act(url: str) -> Any:
        sdk = old(org, tmp_path, url)
        people = sdk.users.UsersOperations().get_users(params(sdk, of=sdk.users.GetUsersParam, type="ActiveUsers"), sdk.HeaderMap())
        company = sdk.org.OrgOperations().get_organization().get_object().get_org()[0]
        org.app.oauth.revoke_access()
        refused = sdk.org.OrgOperations().get_organization()
        return [each.get_email() for each in people.get_object().get_users()], company.get_time_zone(), refused

    people, zone, refused = await org.let(act)
    assert (people, zone) == (["integration@handoff.test", "ada@handoff.test"], "Asia/Kolkata")
    assert (refused.get_status_code(), refused.get_object().get_code().get_value()) == (401, "INVALID_TOKEN")


# zohocrmsdk8-0, version 8


async def test_the_new_client_pages_by_token(tmp_path: Path) -> None:
    org = Org()
    org.deals(205)

    def act(url: str) -> Any:
        sdk = new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api.record import GetRecordsParam, RecordOperations

        fields = "Deal_Name,Account_Name,Owner,Stage,Amount,Closing_Date,Modified_Time"
        first = RecordOperations("Deals").get_records(params(sdk, of=GetRecordsParam, fields=fields), sdk.HeaderMap()).get_object()
        token = first.get_info().get_next_page_token()
        asked = params(sdk, of=GetRecordsParam, fields=fields, page_token=token)
        second = RecordOperations("Deals").get_records(asked, sdk.HeaderMap()).get_object()
        return first, second

    first, second = await org.let(act)
    assert (len(first.get_data()), len(second.get_data()), second.get_info().get_more_records()) == (200, 5, False)
    row = second.get_data()[-1].get_key_values()
    assert (row["Deal_Name"], row["Amount"], row["Stage"].get_value()) == ("deal 0", 10.5, "Qualification")
    assert row["Account_Name"].get_key_value("name") == "Acme"


async def test_the_new_client_writes_rows_of_mixed_fate(tmp_path: Path) -> None:
    org = Org()

    def act(url: str) -> Any:
        sdk = new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api.record import BodyWrapper, Field, Record, RecordOperations

        good, bad, body = Record(), Record(), BodyWrapper()
        good.add_field_value(Field.Deals.deal_name(), "new")
        good.add_field_value(Field.Deals.stage(), sdk.Choice("Qualification"))
        bad.add_field_value(Field.Deals.deal_name(), "bad")
        body.set_data([good, bad])
        body.set_trigger([])
        done = RecordOperations("Deals").create_records(body, sdk.HeaderMap())
        return done.get_status_code(), [(type(row).__name__, row.get_details()) for row in done.get_object().get_data()]

    status, rows = await org.let(act)
    assert (status, [kind for kind, _ in rows]) == (207, ["SuccessResponse", "APIException"])
    assert rows[1][1] == {"api_name": "Stage", "json_path": "$.data[1].Stage"}


async def test_the_new_client_reads_the_set_up(tmp_path: Path) -> None:
    org = Org()
    layout = org.world.modules["Deals"].layout_id

    def act(url: str) -> Any:
        sdk = new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api.fields import FieldsOperations, GetFieldsParam
        from zohocrmsdk.src.com.zoho.crm.api.layouts import GetLayoutsParam, LayoutsOperations
        from zohocrmsdk.src.com.zoho.crm.api.modules import ModulesOperations
        from zohocrmsdk.src.com.zoho.crm.api.pipeline import PipelineOperations

        fields = FieldsOperations().get_fields(params(sdk, of=GetFieldsParam, module="Deals")).get_object().get_fields()
        layouts = LayoutsOperations().get_layouts(params(sdk, of=GetLayoutsParam, module="Deals")).get_object().get_layouts()
        modules = ModulesOperations().get_modules(sdk.ParameterMap(), sdk.HeaderMap()).get_object().get_modules()
        stages = PipelineOperations(int(layout)).get_pipelines().get_object().get_pipeline()[0].get_maps()
        return fields, layouts, modules, stages

    fields, layouts, modules, stages = await org.let(act)
    assert {each.get_api_name(): each.get_data_type() for each in fields}["Account_Name"] == "lookup"
    assert len(layouts[0].get_sections()[0].get_fields()) == len(fields)
    assert "Deals" in [each.get_api_name() for each in modules]
    assert [each.get_display_value() for each in stages][-3:] == ["Closed Won", "Closed Lost", "Closed Lost to Competition"]


async def test_the_new_client_asks_by_coql_and_in_bulk(tmp_path: Path) -> None:
    org = Org()
    org.deals(3)
    org.app.bulk.seconds = 0

    def act(url: str) -> Any:
        new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api import bulk_read, coql
        from zohocrmsdk.src.com.zoho.crm.api.modules import MinifiedModule

        asked = coql.BodyWrapper()
        asked.set_select_query("select Deal_Name, Account_Name.Account_Name from Deals where id is not null limit 2")
        rows = coql.CoqlOperations().get_records(asked).get_object()
        module, query, body = MinifiedModule(), bulk_read.Query(), bulk_read.BodyWrapper()
        module.set_api_name("Deals")
        query.set_module(module)
        query.set_fields(["Deal_Name"])
        body.set_query(query)
        jobs = bulk_read.BulkReadOperations()
        made = jobs.create_bulk_read_job(body).get_object().get_data()[0]
        job = jobs.get_bulk_read_job_details(int(made.get_details()["id"])).get_object().get_data()[0]
        packed = jobs.download_result(int(job.get_id())).get_object().get_file()
        return rows, made, job, packed.get_name()

    rows, made, job, name = await org.let(act)
    assert [row.get_key_value("Account_Name.Account_Name") for row in rows.get_data()] == ["Acme", "Acme"]
    assert (rows.get_info().get_more_records(), made.get_code().get_value()) == (True, "ADDED_SUCCESSFULLY")
    assert (job.get_result().get_count(), name) == (3, f"{job.get_id()}.zip")


async def test_the_new_client_adds_notes_and_contact_roles(tmp_path: Path) -> None:
    org = Org()
    [deal] = org.deals(1)
    role = next(iter(org.world.roles))

    def act(url: str) -> Any:
        sdk = new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api import deal_contact_roles as parts
        from zohocrmsdk.src.com.zoho.crm.api import notes
        from zohocrmsdk.src.com.zoho.crm.api.modules import MinifiedModule

        note, above, module, body = notes.Note(), notes.ParentId(), MinifiedModule(), notes.BodyWrapper()
        module.set_api_name("Deals")
        above.set_module(module)
        above.set_id(int(deal))
        note.set_note_content("project begun")
        note.set_parent_id(above)
        body.set_data([note])
        made = notes.NotesOperations().create_notes(body).get_object().get_data()[0]
        read = notes.NotesOperations().get_notes(params(sdk, of=notes.GetNotesParam, fields="Note_Content,Parent_Id"), sdk.HeaderMap())
        link, kind, whole = parts.Data(), parts.ContactRole(), parts.BodyWrapper()
        kind.set_id(int(role))
        link.set_contact_role(kind)
        whole.set_data([link])
        ops = parts.DealContactRolesOperations()
        linked = ops.associate_contact_role_to_deal(int(org.contact), int(deal), whole).get_object().get_data()[0]
        of = parts.GetAssociatedContactRolesParam
        people = ops.get_associated_contact_roles(int(deal), params(sdk, of=of, fields="Email")).get_object().get_data()
        return made, read.get_object().get_data(), linked, people

    made, read, linked, people = await org.let(act)
    assert (made.get_code().get_value(), linked.get_message()) == ("SUCCESS", "relation added")
    assert [(each.get_note_content(), each.get_parent_id().get_name()) for each in read] == [("project begun", "deal 0")]
    assert [each.get_contact_role().get_name() for each in people] == ["Decision Maker"]


async def test_the_new_client_moves_a_deal_through_its_blueprint_and_watches_it(tmp_path: Path) -> None:
    org, hub = Org(), Receiver()
    [deal] = org.deals(1)
    org.world.add_blueprint("Deals", "Stage", [("Win", "Closed Won")], needs=["Next_Step"])

    def act(url: str) -> Any:
        new(org, tmp_path, url)
        from zohocrmsdk.src.com.zoho.crm.api import blueprint, notifications
        from zohocrmsdk.src.com.zoho.crm.api.record import Record

        channel, body = notifications.Notification(), notifications.BodyWrapper()
        channel.set_channel_id("1001")
        channel.set_events(["Deals.edit"])
        channel.set_notify_url(f"{hook}/zoho")
        channel.set_token("secret")
        body.set_watch([channel])
        watched = notifications.NotificationsOperations().enable_notifications(body).get_object().get_watch()[0]
        ops = blueprint.BlueprintOperations(deal, "Deals")
        way = ops.get_blueprint().get_object().get_blueprint().get_transitions()[0]
        data, step, whole = Record(), blueprint.BluePrint(), blueprint.BodyWrapper()
        data.add_key_value("Next_Step", "hand over")
        step.set_transition_id(str(way.get_id()))
        step.set_data(data)
        whole.set_blueprint([step])
        return watched, ops.update_blueprint(whole).get_object()

    async with serve(Sandbox(hub)) as hook, serve(org.box) as url:
        watched, moved = await asyncio.to_thread(act, url)
        await hub.wait(1)
    assert watched.get_details()["events"][0].get_resource_name() == "Deals"
    assert (moved.get_code().get_value(), org.world.get("Deals", deal)["Stage"]) == ("SUCCESS", "Closed Won")
    assert [told.json()["ids"] for told in hub.got] == [[deal]]
