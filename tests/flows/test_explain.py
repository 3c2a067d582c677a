"""Why something happened, or did not, for any record, key or address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.explain import Explanation, explain_record
from tests.flows.world import World


async def story(path: Path) -> tuple[World, str]:
    world = World(path)
    deal = world.deal(AccountId=world.account())
    await world.sync()
    world.win(deal)
    await world.quiet()
    return world, deal


def explain(world: World, what: str) -> Explanation | None:
    with world.store() as store:
        return explain_record(store, world.loaded.configuration, what)


async def test_a_record_is_found_by_all_its_names(tmp_path: Path) -> None:
    world, deal = await story(tmp_path)
    url = world.org.get("Opportunity", deal)["Handoff_Project_URL__c"]
    source = f"salesforce:deal:{deal}"
    for what in (deal, deal[:15], source, f"{source}/onboarding", f"{source}/onboarding/kickoff", url, world.projects()[0]):
        found = explain(world, what)
        assert found is not None, what
        assert (found.source, found.title) == (source, "Big deal")
    assert explain(world, "006000000000000AAA") is None


async def test_facts_rules_projects_and_trail_are_told(tmp_path: Path) -> None:
    world, deal = await story(tmp_path)
    found = explain(world, deal)
    assert found is not None
    assert {"stage Closed Won", "status won", "customer Acme"} <= set(found.facts)
    rules = {rule.name: rule for rule in found.rules}
    assert rules["onboard"].outcome == "holds"
    assert "vip" not in rules
    assert rules["onboard"].place.startswith("rules.yaml:")
    (project,) = found.projects
    assert project["state"].startswith("visible since 2026-03-02")
    assert [note["verdict"] for note in reversed(found.trail)] == ["acts", "created", "published"]


async def test_what_was_passed_over_is_told_with_the_values_seen(tmp_path: Path) -> None:
    world, deal = await story(tmp_path)
    other = world.deal("Small", Amount=10)
    await world.sync()
    world.win(other)
    await world.quiet()
    found = explain(world, other)
    assert found is not None
    (rule,) = [rule for rule in found.rules if rule.name == "onboard"]
    assert (rule.outcome, "deal.amount = 10" in rule.values) == ("fails", True)
    passed: list[dict[str, Any]] = [dict(note) for note in found.trail if note["rule"] == "onboard"]
    assert "is false (deal.amount = 10" in passed[0]["reason"]
    assert found.projects == []
    assert deal != other


async def test_a_project_that_waits_for_a_person_says_for_what(tmp_path: Path) -> None:
    world = World(tmp_path)
    deal = world.deal()
    await world.sync()
    world.win(deal)
    world.tool.fault(r"POST .*/(batch|tasks)$", "error_before", status=400, times=-1)
    await world.sync()
    found = explain(world, deal)
    assert found is not None
    assert found.projects[0]["state"].startswith(f"waits for a person: salesforce:deal:{deal}/onboarding/")


async def test_a_deleted_record_is_still_explained(tmp_path: Path) -> None:
    world, deal = await story(tmp_path)
    world.org.delete("Opportunity", deal)
    await world.quiet()
    found = explain(world, deal)
    assert found is not None
    assert "deleted in the CRM" in found.facts


async def test_every_decision_can_be_looked_up(tmp_path: Path) -> None:
    """Each change of each record leaves at least one line in the trail, and each project names its rule."""
    world, deal = await story(tmp_path)
    world.change(deal, NextStep="Call")
    world.account("Other")
    await world.quiet()
    verdicts = [(note["source"].split(":")[1], note["verdict"], note["reason"]) for note in world.audit() if note["source"]]
    assert ("deal", "passed", "its project is kept in step") in verdicts
    assert ("customer", "passed", "no rule asks for this") in verdicts
