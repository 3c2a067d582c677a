"""What Zoho works out by itself whenever a record is written: names, chances, the history of stages."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from sandbox.zoho.values import Row

if TYPE_CHECKING:
    from sandbox.zoho.world import World


def complete(world: World, module: str, row: Row, old: Row | None, given: Set[str]) -> None:
    """Fills in `row`, which is about to be kept in place of `old`; `given` are the fields that were set."""
    if module in ("Contacts", "Leads"):
        row["Full_Name"] = " ".join(filter(None, (row.get("First_Name"), row.get("Last_Name"))))
    if module == "Cases" and old is None:
        row["Case_Number"] = str(len(world.rows["Cases"]) + 1)
    if module == "Notes" and "$se_module" not in row:
        row["$se_module"] = next((name for name, rows in world.rows.items() if row.get("Parent_Id") in rows), "")
    if module == "Deals":
        _deal(world, row, old, given)


def _deal(world: World, row: Row, old: Row | None, given: Set[str]) -> None:
    moved = old is None or old.get("Stage") != row.get("Stage")
    if moved and "Probability" not in given:
        row["Probability"] = world.stages.get(str(row.get("Stage")), (None, ""))[0]
    if world.pipelines:
        row.setdefault("Pipeline", "Standard (Standard)")
    amount, chance = row.get("Amount"), row.get("Probability")
    row["Expected_Revenue"] = None if amount is None or chance is None else amount * (chance / 100)
    if moved:
        _remember_stage(world, row)


def _remember_stage(world: World, row: Row) -> None:
    """A row of the history for the stage that begins, and its end for the one that was."""
    history, id, when = world.rows["DealHistory"], world.next_id(), row["Modified_Time"]
    past = {name: row.get(name) for name in ("Amount", "Probability", "Expected_Revenue", "Closing_Date")}
    who = dict.fromkeys(("Owner", "Created_By", "Modified_By"), row["Modified_By"])
    told = {"Potential_Name": row["id"], "Stage": row.get("Stage"), "Created_Time": when, "Modified_Time": when}
    earlier = history.get(world.stage_rows.get(row["id"], ""))
    if earlier is not None:
        lasted = {"Moved_To__s": row.get("Stage"), "Stage_Duration_Calendar_Days": (when - earlier["Modified_Time"]).days}
        history[earlier["id"]] = {**earlier, **lasted}
    world.stage_rows[row["id"]] = id
    history[id] = {"id": id, **past, **who, **told}
