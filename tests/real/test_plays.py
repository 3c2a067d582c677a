"""Whole stories between real systems: what is sold in one stands in the others, once, as planned; what people change there stays theirs."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.real.hands import Crm, OdooCrm, Project, Tool, TrytonCrm
from tests.real.play import SECTIONS, Desk, blueprint, configure, count, faults, is_quiet, kill

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("plays"), pytest.mark.timeout(1500)]
DEALS = int(os.environ.get("HANDOFF_DEALS", "40"))
Record = Callable[[str, object], None]
KILLS = int(os.environ.get("HANDOFF_KILLS", "10"))


def differs(plan: Mapping[str, Any], tools: Mapping[str, Tool]) -> list[str]:
    """Where what stands in the tools is not what was planned."""
    shown = {tool.system: tool.projects() for tool in tools.values()}
    names = {one["key"]: one["fields"]["name"] for one in plan["actions"] if one["kind"] == "project" and one["op"] == "create"}
    wrong = []
    for one in plan["actions"]:
        project = next((name for key, name in names.items() if one["key"].startswith(f"{key}/")), "")
        if one["kind"] != "task" or one["op"] != "create":
            continue
        fields, task = one["fields"], shown[one["target"]][project].task(one["fields"]["name"])
        held = {"due_on": task.due, "assignee": task.assignee or None, "notes": task.notes}
        wanted = {name: fields.get(name) for name in ("due_on", "assignee")}
        wrong += [
            f"{one['target']} {project} / {task.name}: {name} is {held[name]!r}, planned {value!r}"
            for name, value in wanted.items()
            if value and held[name] != value
        ]
        if (fields.get("notes") or "") not in task.notes:
            wrong.append(f"{one['target']} {project} / {task.name}: {task.notes!r} lacks {fields['notes']!r}")
    return wrong


def story(desk: Desk, crm: Crm, tools: Mapping[str, Tool]) -> tuple[list[str], dict[str, int]]:
    """Won, planned, applied, read back, told; changed by people; lost, open again, won again.

    Gives the deals, and how many projects there were before.
    """
    configure(desk, crm, tools)
    names = ["Alpha 客户 & Söhne", "Beta", "Gamma", "Delta"]
    ids = alpha, beta, gamma, delta = crm.deals(names, crm.customer("Müller & Söhne"))
    before = count(tools)

    desk.rest()
    assert count(tools) == before  # history is recorded, and nothing follows from it
    crm.win([alpha, beta, gamma])
    plan = desk.told("plan")
    desk.rest()
    assert count(tools) == {name: number + 3 for name, number in before.items()}
    assert differs(plan, tools) == []
    for suffix, tool in tools.items():
        shown = {name: one for name, one in tool.projects().items() if name.endswith(f" {suffix}")}
        assert faults(shown, names[:3], suffix) == []
    told = crm.told()
    assert all(told[deal].url.startswith("http") and told[deal].status for deal in (alpha, beta, gamma))
    assert not told[delta].url

    for suffix, tool in tools.items():
        tool.finish(f"{names[0]} {suffix}", "Access & accounts <all>")
        tool.rename_task(f"{names[0]} {suffix}", f"Brief for {names[0]}", "Mine, by hand")
    crm.rename(alpha, "Alpha renamed")
    desk.rest()
    assert float(crm.told()[alpha].progress) > 0
    for suffix, tool in tools.items():
        project = tool.projects()[f"Alpha renamed {suffix}"]
        assert project.copies == 1
        assert "Mine, by hand" in [task.name for task in project.tasks]
        assert not [task.name for task in project.tasks if task.name.startswith("Brief for")]

    crm.lose(beta)
    assert [one["kind"] for one in desk.told("plan")["actions"]] == ["comment"]
    desk.rest()
    crm.reopen(beta)
    desk.rest()
    crm.win([beta])
    desk.rest()
    assert count(tools) == {name: number + 3 for name, number in before.items()}
    return list(ids), before


def test_a_story_from_odoo_to_redmine_and_kanboard(desk: Desk, odoo_crm: OdooCrm, tools: dict[str, Tool]) -> None:
    (*_, delta), before = story(desk, odoo_crm, tools)
    (other,) = odoo_crm.deals(["Delta too"], odoo_crm.customer("Delta Ltd"))
    desk.rest()
    odoo_crm.merge([delta, other])
    desk.rest()
    assert count(tools) == {name: number + 3 for name, number in before.items()}
    is_quiet(desk, odoo_crm, tools)


def test_a_story_from_tryton_to_odoo(desk: Desk, tryton_crm: TrytonCrm, odoo_projects: dict[str, Tool]) -> None:
    story(desk, tryton_crm, odoo_projects)
    is_quiet(desk, tryton_crm, odoo_projects)


def test_a_blueprint_in_two_tools(desk: Desk, odoo_crm: OdooCrm, tools: dict[str, Tool]) -> None:
    configure(desk, odoo_crm, tools)
    delivery, build = tools.values()
    placed = {"create": "delivery", "target": delivery.system, "parts": {"engineering": build.system}}
    both = yaml.safe_load(desk.folder.joinpath("rules.yaml").read_text(encoding="utf-8"))
    both["rules"] = [{"name": "deliver", "on": ["deal.won"], "do": [placed]}]
    parted = blueprint("delivery").replace("name: 2 Deliver", "name: 2 Deliver\n    part: engineering")
    desk.write({"rules.yaml": yaml.safe_dump(both), "mappings/blueprints/delivery.yaml": parted})
    (deal,) = odoo_crm.deals(["Parted 两处"], odoo_crm.customer("Parted Ltd"))
    desk.rest()
    odoo_crm.win([deal])
    desk.rest()
    main, part = delivery.projects()["Parted 两处 delivery"], build.projects()["Parted 两处 delivery (engineering)"]
    assert (main.sections, part.sections) == (SECTIONS[:1], SECTIONS[1:])
    assert len(main.tasks) + len(part.tasks) == 9
    assert "kanboard" in main.notes.lower() or str(build.env["KANBOARD_URL"]) in main.notes
    assert str(delivery.env["REDMINE_URL"]) in part.notes
    assert "Kick-off" in part.task("Build").notes  # what no tool can link
    build.finish("Parted 两处 delivery (engineering)", "Review")
    desk.rest()
    assert float(odoo_crm.told()[deal].progress) > 0
    is_quiet(desk, odoo_crm, tools)


def test_many_projects_and_ten_kills_from_odoo_to_redmine_and_kanboard(
    desk: Desk, odoo_crm: OdooCrm, tools: dict[str, Tool], record_property: Record
) -> None:
    record_property("figures", under_fire(desk, odoo_crm, tools, "Big", deals=DEALS // 2))


def test_many_projects_and_ten_kills_from_tryton_to_odoo(
    desk: Desk, tryton_crm: TrytonCrm, odoo_projects: dict[str, Tool], record_property: Record
) -> None:
    record_property("figures", under_fire(desk, tryton_crm, odoo_projects, "Large", deals=DEALS))


def under_fire(desk: Desk, crm: Crm, tools: Mapping[str, Tool], prefix: str, *, deals: int) -> str:
    """Many deals won at once, the sync killed again and again; then people and the CRM change the same things.

    Gives the figures.
    """
    configure(desk, crm, tools)
    names = [f"{prefix} {number:03} 交付" for number in range(deals)]
    ids = crm.deals(names, crm.customer(f"{prefix} Ltd"))
    desk.rest()
    crm.win(ids)
    chance, begun = random.Random(prefix), time.monotonic()
    left = kill(desk, KILLS, chance)
    assert len(left) >= KILLS // 2, "all was done before"
    desk.rest()
    for suffix, tool in tools.items():
        assert faults(_of(tool.projects(), prefix), names, suffix) == []

    edited = chance.sample(range(deals), min(10, deals))
    for at in edited:
        for suffix, tool in tools.items():
            tool.rename_task(f"{names[at]} {suffix}", f"Brief for {names[at]}", f"Mine {at}")
        crm.rename(ids[at], f"{names[at]} renamed")
        names[at] += " renamed"
    left += kill(desk, 2, chance)
    desk.rest()
    took = time.monotonic() - begun
    for suffix, tool in tools.items():
        now = _of(tool.projects(), prefix)
        for at in edited:
            project, brief = now[f"{names[at]} {suffix}"], f"Brief for {names[at]}"
            project.task("Plan").after = frozenset({brief if one == f"Mine {at}" else one for one in project.task("Plan").after})
            project.task(f"Mine {at}").name = brief  # it is there, once, and kept
        assert faults(now, names, suffix) == []
    told = crm.told()
    assert [deal for deal in ids if not told[deal].url] == []
    is_quiet(desk, crm, tools)
    return (
        f"{' and '.join(tool.system for tool in tools.values())} from {crm.system}: {len(names) * len(tools)} projects of 9 tasks,"
        f" {len(left)} kills with {max(left)} … {min(left)} actions open, {len(edited) * len(tools)} tasks renamed by people,"
        f" {took:.0f} s: 0 twice, 0 lost, 0 overwritten"
    )


def _of(projects: Mapping[str, Project], prefix: str) -> dict[str, Project]:
    return {name: one for name, one in projects.items() if name.startswith(prefix)}
