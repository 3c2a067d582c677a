"""What the CRM hears of its projects: once, again only when it changes, and one refused row holds up no other."""

from __future__ import annotations

from pathlib import Path

from tests.flows.files import SALESFORCE
from tests.flows.world import World

PATCH = r"PATCH .*/composite/sobjects"


async def with_projects(path: Path, count: int = 1, **options: dict[str, str]) -> tuple[World, list[str]]:
    world = World(path, **options)  # type: ignore[arg-type]
    deals = [world.deal(f"Deal {number}") for number in range(count)]
    await world.sync()
    for deal in deals:
        world.win(deal)
    return world, deals


def told(world: World, deal: str) -> tuple[object, object]:
    row = world.org.get("Opportunity", deal)
    return row.get("Handoff_Status__c"), row.get("Handoff_Progress__c")


async def test_progress_made_in_the_tool_reaches_the_deal(tmp_path: Path) -> None:
    world, (deal,) = await with_projects(tmp_path)
    await world.quiet()
    assert told(world, deal) == ("in_progress", 0)
    world.board.complete_task(world.task("Scope")["gid"], world.person)
    await world.quiet()
    assert told(world, deal) == ("in_progress", 33)
    for name in ("Kick off Deal 0", "Done"):
        world.board.complete_task(world.task(name)["gid"], world.person)
    await world.quiet()
    assert told(world, deal) == ("complete", 100)


async def test_equal_progress_is_not_written_again(tmp_path: Path) -> None:
    world, _ = await with_projects(tmp_path)
    await world.quiet()
    world.crm.seen.clear()
    world.board.comment(world.task("Scope")["gid"], "A word", world.person)
    assert (await world.sync()).counts["progress"] == 1
    assert not [route for route in world.crm.seen if route.startswith("PATCH")]


async def test_a_refused_row_is_parked_and_told_and_the_others_go_on(tmp_path: Path) -> None:
    world, deals = await with_projects(tmp_path, 3)

    def gone(_: object) -> None:
        if world.projects() and not world.org.get("Opportunity", deals[1])["IsDeleted"]:
            world.org.delete("Opportunity", deals[1])

    world.hook = gone
    summary = await world.sync()
    assert summary.result == "with errors"
    assert (summary.counts["written back"], summary.counts["write-back refused"]) == (2, 1)
    assert [told(world, deal)[0] for deal in deals] == ["in_progress", None, "in_progress"]
    with world.store() as store:
        (parked,) = store.parked_back()
    assert parked["id"] == deals[1]
    assert parked["error"]


async def test_a_crm_that_does_not_answer_is_told_by_the_next_run(tmp_path: Path) -> None:
    world, (deal,) = await with_projects(tmp_path)
    world.crm.fault(PATCH, "error_before", times=-1)
    summary = await world.sync()
    assert (summary.result, summary.counts["write-back later"]) == ("waiting", 1)
    world.crm.faults.clear()
    await world.quiet()
    assert told(world, deal) == ("in_progress", 0)


async def test_a_lost_answer_to_a_write_back_is_no_harm(tmp_path: Path) -> None:
    world, (deal,) = await with_projects(tmp_path)
    world.crm.fault(PATCH, "reset_after")
    await world.quiet()
    assert told(world, deal) == ("in_progress", 0)


async def test_events_the_tool_has_forgotten_are_made_up_for(tmp_path: Path) -> None:
    world, deals = await with_projects(tmp_path, 2)
    await world.quiet()
    for project in world.projects():
        world.board.complete_task(world.task("Scope", project)["gid"], world.person)
    world.board.expire_sync_tokens()
    await world.quiet()
    assert [told(world, deal)[1] for deal in deals] == [33, 33]


async def test_a_deal_with_two_projects_tells_of_the_first(tmp_path: Path) -> None:
    world, (deal,) = await with_projects(tmp_path)
    await world.quiet()
    first = world.org.get("Opportunity", deal)["Handoff_Key__c"]
    other = (world.folder / "mappings/blueprints/onboarding.yaml").read_text(encoding="utf-8").replace("name: onboarding", "name: another")
    rules = (world.folder / "rules.yaml").read_text(encoding="utf-8")
    more = f"{rules}  - name: more\n    on: [deal.amount_changed]\n    do:\n      - {{create: another, target: asana}}\n"
    world.configure({"rules.yaml": more, "mappings/blueprints/another.yaml": other})
    world.change(deal, Amount=9000)
    await world.quiet()
    assert len(world.projects()) == 2
    assert world.org.get("Opportunity", deal)["Handoff_Key__c"] == first


async def test_only_what_the_mapping_names_is_written(tmp_path: Path) -> None:
    less = SALESFORCE.replace("    progress: Handoff_Progress__c\n", "")
    world, (deal,) = await with_projects(tmp_path, files={"mappings/salesforce.yaml": less})
    await world.quiet()
    assert told(world, deal) == ("in_progress", None)


async def test_a_project_nobody_can_see_yet_is_not_told(tmp_path: Path) -> None:
    world, (deal,) = await with_projects(tmp_path)
    world.tool.fault(r"POST .*/batch$", "error_before", status=400)
    await world.sync()
    await world.sync()
    assert (world.shown(), told(world, deal)) == ([], (None, None))
