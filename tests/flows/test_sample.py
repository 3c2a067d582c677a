"""The sample CRM and the configuration that ships with it, held against the sandbox and the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from connectors.base import Runtime
from connectors.salesforce import Connection, SalesforceSource
from engine.check import Configuration, check
from engine.config import BlueprintSpec, Rules, SystemMapping
from engine.events import Change, compare
from engine.mapping import Mapped, Mapper, reads
from engine.model import CrmKind, Read
from engine.rules import Rulebook
from engine.yaml import Document, parse
from flows.demo_data.load import HERE, load, play_day
from sandbox.salesforce import Salesforce
from sandbox.web import InProcess, Sandbox

ROOT = Path(__file__).parents[2]
KINDS: tuple[CrmKind, ...] = ("customer", "deal")
OBJECTS = {"customer": "Account", "deal": "Opportunity"}
NOW = datetime(2027, 3, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def sf() -> Salesforce:
    crm = Salesforce(lambda: NOW)
    load(crm)
    return crm


def read(path: str) -> Any:
    return YAML(typ="safe").load((ROOT / path).read_text(encoding="utf-8"))


def find(sf: Salesforce, name: str, reference: str) -> dict[str, Any]:
    return next(row for row in sf.org.rows(name) if row.get("Reference__c") == reference)


def deals(sf: Salesforce) -> list[dict[str, Any]]:
    return list(sf.org.rows("Opportunity"))


def test_everything_in_the_files_arrives() -> None:
    assert load(Salesforce(lambda: NOW)) == {
        "User": 10,
        "Product2": 14,
        "Account": 40,
        "Contact": 91,
        "Opportunity": 150,
        "OpportunityLineItem": 296,
        "OpportunityContactRole": 336,
    }


def test_the_sample_lies_in_the_nine_months_before_now(sf: Salesforce) -> None:
    stamps = [
        row[name]
        for name in ("Account", "Contact", "Opportunity")
        for row in sf.org.rows(name)
        for name in ("CreatedDate", "SystemModstamp")
    ]
    assert max(stamps) <= "2027-03-10T09:00:00.000+0000"
    assert min(stamps) >= (NOW - timedelta(days=280)).strftime("%Y-%m-%d")
    months = Counter(row["CreatedDate"][:7] for row in deals(sf))
    assert len(months) >= 8


def test_gaps_of_a_real_crm_are_kept(sf: Salesforce) -> None:
    assert sum(row.get("AccountId") is None for row in deals(sf)) == 6
    assert sum(row.get("Amount") is None for row in deals(sf)) == 6
    assert [row["Name"] for row in sf.org.rows("User") if not row["IsActive"]] == ["王思远"]
    assert any(row.get("Email") is None for row in sf.org.rows("Contact"))
    assert max(len(row.get("Description") or "") for row in deals(sf)) > 700


def test_customers_come_in_many_scripts_and_currencies(sf: Salesforce) -> None:
    names = "".join(row["Name"] for row in sf.org.rows("Account"))
    for sample in ("明远", "さくら", "النور", "כהן", "🌿", "<b>", '"', "{{ 7*7 }}", "ø", "ł"):
        assert sample in names or sample in "".join(row["Name"] for row in sf.org.rows("Contact"))
    assert {row["CurrencyIsoCode"] for row in deals(sf)} == {"EUR", "USD", "GBP", "CNY", "JPY"}


def test_deals_have_a_history_that_ends_in_their_stage(sf: Salesforce) -> None:
    past: dict[str, list[tuple[str, str]]] = {}
    for row in sf.org.rows("OpportunityHistory"):
        past.setdefault(row["OpportunityId"], []).append((row["CreatedDate"], row["StageName"]))
    for deal in deals(sf):
        assert sorted(past[deal["Id"]])[0][1] == "Prospecting"
        assert sorted(past[deal["Id"]])[-1][1] == deal["StageName"]


def test_line_items_add_up_to_the_amount_of_their_deal(sf: Salesforce) -> None:
    totals: Counter[str] = Counter()
    for line in sf.org.rows("OpportunityLineItem"):
        totals[line["OpportunityId"]] += line["TotalPrice"]
    assert len(totals) == 144
    assert {deal["Id"]: deal["Amount"] for deal in deals(sf) if deal["Id"] in totals} == pytest.approx(dict(totals))


def test_the_morning_brings_wins_in_both_languages_a_loss_and_a_vip(sf: Salesforce) -> None:
    before = {deal["Id"] for deal in deals(sf) if deal["IsWon"]}
    told = play_day(sf, HERE, NOW, part="morning")
    won = [deal for deal in deals(sf) if deal["IsWon"] and deal["Id"] not in before]
    assert len(told) == 12
    assert Counter(deal["StageName"] for deal in won) == {"Closed Won": 7, "赢单": 3}
    assert {deal["CloseDate"] for deal in won} == {"2027-03-10"}
    assert sum(deal.get("AccountId") is None for deal in won) == 1
    assert find(sf, "Opportunity", "OPP-140")["StageName"] == "Closed Lost"
    assert find(sf, "Account", "ACC-012")["Tier__c"] == "VIP"


def test_the_afternoon_changes_what_the_morning_won(sf: Salesforce) -> None:
    play_day(sf, HERE, NOW - timedelta(hours=3), part="morning")
    play_day(sf, HERE, NOW, part="afternoon")
    assert find(sf, "Opportunity", "OPP-143")["Amount"] == 118000
    assert find(sf, "Opportunity", "OPP-141")["OwnerId"] == find(sf, "User", "USR-05")["Id"]
    assert find(sf, "Opportunity", "OPP-144")["IsClosed"] is False
    assert (find(sf, "Opportunity", "OPP-146")["IsClosed"], find(sf, "Opportunity", "OPP-146")["IsWon"]) == (True, False)


def test_the_changes_of_a_day_are_stamped_in_order_and_never_ahead_of_now(sf: Salesforce) -> None:
    before = {row["Id"]: row["SystemModstamp"] for row in deals(sf)}
    play_day(sf, HERE, NOW)
    stamps = sorted(row["SystemModstamp"] for row in deals(sf) if row["SystemModstamp"] != before[row["Id"]])
    assert stamps[-1] == "2027-03-10T09:00:00.000+0000"
    assert stamps[0] >= "2027-03-10T08:59:40"
    assert len(stamps) == 11


def test_loading_twice_is_noticed_before_a_day_is_played(sf: Salesforce) -> None:
    load(sf)
    with pytest.raises(ValueError, match="loaded more than once"):
        play_day(sf)


def test_every_field_the_mapping_names_exists_in_the_sample_org(sf: Salesforce) -> None:
    mapping = SystemMapping.model_validate(read("mappings/salesforce.yaml"))
    for wanted in reads(mapping).values():
        assert list(missing(sf, wanted)) == []
    for kind, fields in mapping.write_back.items():
        spec = sf.org.spec(mapping.read[kind].object)
        assert [name for name in fields.values() if spec.find(name) is None] == []


def missing(sf: Salesforce, wanted: Read) -> Iterator[str]:
    for path in wanted.fields:
        spec = sf.org.spec(wanted.object)
        *parents, name = path.split(".")
        for parent in parents:
            relation = spec.relation(parent)
            if relation is None:
                yield path
                break
            spec = sf.org.spec(relation.to)
        else:
            if spec.find(name) is None:
                yield path
    for child in wanted.children.values():
        yield from missing(sf, child)


def test_the_rules_know_a_rate_for_every_currency_in_the_sample(sf: Salesforce) -> None:
    rules = Rules.model_validate(read("rules.yaml"))
    assert rules.currencies is not None
    assert {row["CurrencyIsoCode"] for row in deals(sf)} <= {*rules.currencies.rates, rules.currencies.base}
    large = find(sf, "Opportunity", "OPP-147")
    assert Decimal(str(large["Amount"])) * rules.currencies.rates["CNY"] > 250_000


def test_the_configuration_that_ships_has_no_problem_and_no_warning() -> None:
    assert configuration().warnings == ()


async def test_the_rules_that_ship_act_on_the_day_as_the_demo_tells_it(sf: Salesforce) -> None:
    config = configuration()
    book = Rulebook(
        config.rules.rules, [config.place(number) for number in range(len(config.rules.rules))], {k: config.scope(k) for k in KINDS}
    )
    acts: dict[str, list[str]] = {}
    passed: dict[str, str] = {}
    for change in await changes(sf, config.mappings["salesforce"]):
        reference = sf.org.get(OBJECTS[change.record.kind], change.record.id)["Reference__c"]
        for _, decision in book.decide(change):
            if decision.verdict == "acts":
                acts.setdefault(reference, []).append(decision.rule)
            elif decision.rule == "onboard-won-deals":
                passed[reference] = decision.reason
    onboarded = {f"OPP-{number}": ["onboard-won-deals"] for number in range(141, 149)}
    large = {"OPP-147": ["onboard-won-deals", "large-orders"]}
    assert acts == {**onboarded, **large, "OPP-140": ["lost-deals"], "ACC-012": ["vip-review"]}
    assert set(passed) == {"OPP-149", "OPP-150"}
    assert "deal.amount = 2800" in passed["OPP-149"]
    assert "deal.type = 'Renewal'" in passed["OPP-150"]


def configuration() -> Configuration:
    def documents(folder: str) -> dict[str, Document]:
        return {path.stem: parse(path.read_text(encoding="utf-8"), path.name) for path in (ROOT / folder).glob("*.yaml")}

    rules = parse((ROOT / "rules.yaml").read_text(encoding="utf-8"), "rules.yaml")
    found, problems = check(rules, documents("mappings"), documents("mappings/blueprints"))
    assert problems == []
    assert found is not None
    return found


async def changes(sf: Salesforce, mapping: SystemMapping) -> list[Change]:
    """What a run after the morning sees that began with a baseline before it."""
    connection = Connection(login_url="http://salesforce.test", client_id="handoff-client", client_secret=SecretStr("handoff-secret"))
    runtime = Runtime(clock=lambda: NOW, transport=InProcess({"http://salesforce.test": Sandbox(sf)}))
    mapper, found = Mapper(mapping), list[Change]()
    known: dict[str, Mapped] = {}
    cursors: dict[CrmKind, str | None] = {}
    async with SalesforceSource(connection, reads(mapping), runtime=runtime) as source:
        for kind in KINDS:
            async for page in source.pull(kind, None):
                cursors[kind] = page.cursor
                known |= {record.id: mapper.map(record) for record in page.records}
        assert [mapped.issues for mapped in known.values() if mapped.issues] == []
        play_day(sf, HERE, NOW, part="morning")
        for kind in KINDS:
            async for page in source.pull(kind, cursors[kind]):
                found += [compare(record, known[record.id].value, mapper.map(record).value) for record in page.records]
    return found


def test_the_blueprints_that_ship_are_of_a_real_size() -> None:
    for path in (ROOT / "mappings/blueprints").glob("*.yaml"):
        spec = BlueprintSpec.model_validate(read(f"mappings/blueprints/{path.name}"))
        assert spec.name == path.stem
        assert 4 <= len(spec.sections) <= 6
        assert 12 <= sum(1 for _ in slots(spec)) <= 25


def slots(spec: BlueprintSpec) -> Iterable[str]:
    for section in spec.sections:
        for task in section.tasks:
            yield task.slot
            yield from (inner.slot for inner in task.subtasks)
