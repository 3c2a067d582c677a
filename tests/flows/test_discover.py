"""`handoff discover`: a mapping to start from, made of what a system says of itself; and what `handoff check` says when that has changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connectors.registry import SYSTEMS
from engine.config import SystemMapping
from engine.document import build
from engine.yaml import parse
from flows.configuration import load
from flows.discover import discover
from flows.seen import drift, read, record
from flows.starter import starter
from tests.flows.desk import SECRET, TOKEN, Desk, local
from tests.flows.test_zoho import ZohoWorld
from tests.flows.world import START


def mapping_of(path: Path) -> SystemMapping:
    built, problems = build(parse(path.read_bytes(), path.name), SystemMapping)
    assert problems == []
    assert built is not None
    return built


def written(desk: Desk, name: str) -> str:
    return (desk.folder / "mappings" / f"{name}.discovered.yaml").read_text(encoding="utf-8")


def test_a_mapping_that_names_fields_is_found_again_and_all_others_are_comments(desk: Desk) -> None:
    desk.world.org.add_field("Opportunity", "Region__c", type="picklist", values=["EMEA", "APAC"])
    done = desk.do("discover", "salesforce")
    assert done.exit_code == 0, done.output
    text = written(desk, "salesforce")
    found, own = (
        mapping_of(desk.folder / "mappings" / "salesforce.discovered.yaml"),
        mapping_of(desk.folder / "mappings" / "salesforce.yaml"),
    )
    assert found.read == own.read
    assert found.write_back == own.write_back
    assert re.search(r"#   Region__c +# Region \(picklist\): EMEA, APAC", text)
    assert re.search(r'#   "?Closed Won"?: won', text)
    assert "# guess: probability: Probability" in text
    assert SECRET not in text
    assert load(desk.folder, desk.env).configuration.mappings.keys() == {"asana", "salesforce"}


def test_what_is_not_there_is_a_comment_that_says_so(desk: Desk) -> None:
    mapping = local({})["mappings/salesforce.yaml"].replace("next_step: NextStep", "next_step: Nowhere__c")
    desk.world.configure(local({"mappings/salesforce.yaml": mapping}))
    desk.do("discover", "salesforce")
    assert "# next_step: Nowhere__c   # there is no Nowhere__c here" in written(desk, "salesforce")
    assert "next_step" not in mapping_of(desk.folder / "mappings" / "salesforce.discovered.yaml").read["deal"].fields


def test_a_tool_tells_its_fields_and_its_people(desk: Desk) -> None:
    desk.world.board.add_custom_field("Customer tier", "enum", options=["VIP", "Standard"])
    assert desk.do("discover", "asana").exit_code == 0
    text = written(desk, "asana")
    assert re.search(r"#   mia.manager@example.com +# Mia", text)
    assert "# customer_tier: { custom_field: Customer tier }   # Customer tier (enum): VIP, Standard" in text
    assert mapping_of(desk.folder / "mappings" / "asana.discovered.yaml").fields.keys() == {"value"}
    assert TOKEN not in text


def test_no_file_is_ever_overwritten(desk: Desk) -> None:
    desk.do("discover", "asana")
    before = written(desk, "asana")
    again = desk.do("discover", "asana")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert written(desk, "asana") == before
    printed = desk.do("discover", "asana", "--output", "-")
    assert printed.exit_code == 0
    assert "system: asana" in printed.stdout


def test_a_script_gets_everything_and_no_starter(desk: Desk) -> None:
    told = desk.told("discover", "salesforce")
    assert {"Account", "Opportunity"} <= {each["name"] for each in told["objects"]}
    assert {"name": "Closed Won", "pipeline": "", "status": "won"} in told["stages"]
    assert not (desk.folder / "mappings" / "salesforce.discovered.yaml").exists()


def test_a_literal_secret_is_not_copied(desk: Desk) -> None:
    desk.world.configure(local({"mappings/asana.yaml": local({})["mappings/asana.yaml"].replace("${TOKEN}", TOKEN)}))
    desk.do("discover", "asana")
    assert TOKEN not in written(desk, "asana")
    assert "token: ${ASANA_TOKEN}" in written(desk, "asana")


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_a_system_without_a_mapping_gets_a_connection_to_fill_in(system: str, desk: Desk) -> None:
    (desk.folder / "mappings" / f"{system}.yaml").unlink(missing_ok=True)
    done = desk.do("discover", system)
    assert done.exit_code == 0, done.output
    mapping = mapping_of(desk.folder / "mappings" / f"{system}.yaml")
    assert mapping.system == system
    assert "${" in str(mapping.connection)


async def test_what_another_crm_tells_makes_a_mapping_too(tmp_path: Path) -> None:
    world = ZohoWorld(tmp_path)
    found = await discover(world.folder, "zoho", world.env, world.runtime())
    text = starter(found.known, found.connection, found.source, found.target, START.date())
    (tmp_path / "told.yaml").write_text(text, encoding="utf-8")
    told, own = mapping_of(tmp_path / "told.yaml"), mapping_of(world.folder / "mappings" / "zoho.yaml")
    assert told.read.keys() == own.read.keys()
    assert told.read["deal"].fields == own.read["deal"].fields
    assert told.write_back == own.write_back
    record(world.folder, "zoho", found.whole, START.date())
    seen = read(world.folder, "zoho")
    assert seen is not None
    assert drift("zoho", own, seen, found.whole) == []


def test_a_system_nobody_knows_is_refused(desk: Desk) -> None:
    done = desk.do("discover", "salesfroce")
    assert done.exit_code == 2
    assert "did you mean salesforce?" in done.stderr


# what has changed since


def test_check_tells_what_changed_since_at_its_place(desk: Desk) -> None:
    org = desk.world.org
    desk.do("discover", "salesforce")
    assert desk.told("check")["changed"] == []
    org.add_field("Opportunity", "NextStep", type="textarea")
    org.add_field("Account", "Tier__c", type="picklist", values=["VIP", "Silver"])
    tier, step = desk.told("check")["changed"]
    lines = local({})["mappings/salesforce.yaml"].splitlines()
    assert tier.startswith(
        f"mappings/salesforce.yaml:{_place(lines, 'tier: Tier__c', 'Tier__c')}: Account.Tier__c has lost Standard and gained Silver since"
    )
    assert step.startswith(f"mappings/salesforce.yaml:{_place(lines, 'next_step', 'NextStep')}: Opportunity.NextStep was string on")
    desk.do("discover", "salesforce", "--output", "-")
    assert desk.told("check")["changed"] == []


def test_check_tells_of_a_field_that_is_gone_once_and_ends_with_it(desk: Desk) -> None:
    desk.do("discover", "salesforce")
    desk.world.org.hide_field("Opportunity", "NextStep")
    done = desk.do("check")
    assert done.exit_code == 2
    assert done.stderr.count("NextStep") == 1


def test_check_tells_of_a_tools_field_that_is_gone(desk: Desk) -> None:
    desk.do("discover", "asana")
    seen = desk.folder / "mappings" / ".seen" / "asana.yaml"
    assert "Mia" not in seen.read_text(encoding="utf-8")
    seen.write_text(seen.read_text(encoding="utf-8").replace("Value: {type: number}", "Value: {type: text}"), encoding="utf-8")
    (told,) = desk.told("check")["changed"]
    assert "project.Value was text on" in told
    assert json.dumps(told)


def test_a_damaged_record_is_refused_with_advice(desk: Desk) -> None:
    desk.do("discover", "asana")
    (desk.folder / "mappings" / ".seen" / "asana.yaml").write_text("objects: 5\n", encoding="utf-8")
    done = desk.do("check")
    assert done.exit_code == 2
    assert "run `handoff discover asana` again" in done.stderr


def _place(lines: list[str], text: str, value: str) -> str:
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    return f"{number}:{lines[number - 1].index(value) + 1}"
