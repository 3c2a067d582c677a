"""What the command shows to people, as rich renderables. Pure: values in, renderables out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from connectors.base import UnsafePlan, kind_of
from engine.approval import Gated
from engine.limits import by_rule
from engine.model import Action, Decision, Notice, Problem
from engine.plan import Plan
from flows.pipeline import Summary
from flows.plan_data import plan_data
from flows.view import plain
from flows.waiting import Doubt, Waiting
from state.approvals import sources_of
from state.notices import Traffic

MOST_ROWS = 30
_RESULT_STYLE = {
    "done": "green",
    "nothing to do": "green",
    "helped": "green",
    "with errors": "yellow",
    "waiting": "yellow",
    "waiting for approval": "yellow",
    "stopped": "yellow",
    "refused": "red",
    "failed": "red",
}


def problems(found: Sequence[Problem]) -> RenderableType:
    """Configuration problems, each at its place, with what to do."""
    lines = []
    for problem in found:
        place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part)
        line = Text.assemble((f"{place}  " if place else "", "cyan"), (problem.message, "bold"))
        if problem.hint:
            line.append(f"\n    {problem.hint}", style="dim")
        lines.append(line)
    return Group(*lines)


def plan(result: Plan) -> RenderableType:
    """The plan: what would be made or changed and why, and what was passed over and why."""
    parts: list[RenderableType] = []
    if result.actions:
        parts += [_actions(result), Text()]
    if held := result.held:
        parts += [_held(held), Text(_HELD_WAYS, style="dim"), Text()]
    if result.notices:
        parts += [_notices(result.notices), Text()]
    passed = [decision for decision in result.decisions if decision.verdict != "acts"]
    if passed:
        parts += [_passed(passed), Text()]
    assumed = [(key, note) for key, notes in result.notes.items() for note in notes]
    if assumed:
        parts += [_notes(assumed), Text()]
    told = _counts(result) or "nothing to do"
    digest = result.digest if result.actions or result.alarms or result.notices else "empty"
    parts.append(Text.assemble(("Plan ", "bold"), (digest, "bold cyan"), f": {told}"))
    return Group(*parts)


def _counts(result: Plan) -> str:
    counts = result.counts()
    if result.notices:
        counts["message"] = len(result.notices)
    return ", ".join(f"{count} × {what}" for what, count in sorted(counts.items()))


def refusal(result: Plan, reasons: Sequence[str], *, what: str, verb: str = "sync", approval: int = 0) -> RenderableType:
    """Why a plan needs a person's word, how much each rule asks for, and the ways to go on."""
    parts: list[RenderableType] = [Text()]
    if asked := by_rule(result):
        parts += [_asked(asked), Text()]
    parts += [Text(what, style="bold red"), *(Padding(Text(reason, style="red"), (0, 0, 0, 2), expand=False) for reason in reasons)]
    ways = f"If it is meant: `handoff {verb} --approve {result.digest}` carries out exactly this plan, `--force` whatever it is by then."
    yes = f"`handoff approvals approve {approval}`, and the next sync carries out exactly this plan. Or at once: " if approval else ""
    return Group(*parts, Text(f"{yes}{ways}", style="yellow"))


def _asked(asked: Mapping[str, Counter[str]]) -> Table:
    table = Table(title="How much each rule asks for", title_justify="left", title_style="bold")
    table.add_column("Rule")
    for heading in ("New projects", "Updates", "Comments"):
        table.add_column(heading, justify="right")
    for rule, counts in sorted(asked.items()):
        table.add_row(rule or "(kept in step)", *(f"{counts[what]:,}" for what in ("projects", "updates", "comments")))
    return table


_HELD_WAYS = (
    "`handoff approvals approve NUMBER` lets exactly this go, and the next sync does it. `--approve` with the plan's digest and `--force` are about"
    " the limits; they let nothing of this go."
)


def _held(held: Sequence[Gated]) -> Table:
    table = Table(title="What waits for a person's yes", title_justify="left", title_style="bold", expand=True)
    table.add_column("Approval", no_wrap=True)
    table.add_column("Record", ratio=5)
    table.add_column("Would be done", ratio=3)
    table.add_column("Why", ratio=4, style="dim")
    for one in held[:MOST_ROWS]:
        number = Text(str(one.number), style="bold yellow") if one.number else Text("not asked yet", style="yellow")
        record = Text.assemble((plain(one.title), "bold"), f"\n{one.source}")
        done = _counts(one.plan)
        table.add_row(number, record, f"{done}\n{one.plan.digest}", "\n".join(f"rule {rule} wants a person's yes" for rule in one.rules))
    if len(held) > MOST_ROWS:
        table.add_row("", f"… and {len(held) - MOST_ROWS:,} more", "", "")
    return table


def _actions(result: Plan) -> Table:
    table = Table(title="What will be done", title_justify="left", title_style="bold", expand=True)
    table.add_column("", width=7)
    table.add_column("Project", ratio=5)
    table.add_column("Consists of", ratio=3)
    table.add_column("Why", ratio=4, style="dim")
    groups: dict[tuple[str, str], list[Action]] = defaultdict(list)
    for action in result.actions:
        groups[_group(action), action.item.project].append(action)
    several = len({action.target for action in result.actions}) > 1
    for (what, key), actions in list(groups.items())[:MOST_ROWS]:
        lead = actions[0]
        name = lead.item.fields.get("name") if lead.item.kind == "project" else lead.item.key
        where = f" in {lead.target}" if several else ""
        title = Text.assemble((plain(str(name)), "bold"), f"{where}\n{key}")
        table.add_row(Text(what, style=_style(what)), title, _consists(actions), f"{lead.event}\n{lead.why}")
    if len(groups) > MOST_ROWS:
        table.add_row("", f"… and {len(groups) - MOST_ROWS:,} more", "", "")
    return table


def _group(action: Action) -> str:
    if action.item.kind in ("comment", "status"):
        return action.item.kind
    return "update" if action.op == "update" else "create"


def _style(what: str) -> str:
    return {"create": "green", "update": "yellow"}.get(what, "magenta")


def _consists(actions: Iterable[Action]) -> str:
    kinds = Counter(action.item.kind for action in actions if action.op != "publish" and action.item.kind != "project")
    changed = sorted({name for action in actions for name in action.changed})
    told = [counted(count, kind) for kind, count in kinds.items()]
    return ", ".join(told + changed)


def counted(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    many = {"dependency": "dependencies", "delivery": "deliveries", "status": "statuses"}.get(noun, f"{noun}s")
    return f"{count:,} {noun if count == 1 else many}"


def _passed(decisions: Sequence[Decision]) -> Table:
    table = Table(title="What was passed over", title_justify="left", title_style="bold", expand=True)
    table.add_column("Record", ratio=5)
    table.add_column("Rule", ratio=3)
    table.add_column("Why not", ratio=6, style="dim")
    told = {(d.source, d.rule, d.reason): d for d in sorted(decisions, key=lambda d: d.verdict != "failed")}
    for decision in list(told.values())[:MOST_ROWS]:
        why = Text(plain(decision.reason), style="red" if decision.verdict == "failed" else "dim")
        record = Text.assemble(plain(decision.title) or "", f"\n{decision.source}" if decision.title else decision.source)
        table.add_row(record, f"{decision.rule}\n{decision.event}", why)
    if len(told) > MOST_ROWS:
        table.add_row(f"… and {len(told) - MOST_ROWS:,} more", "", "`handoff explain <deal>` tells about one")
    return table


def _notices(notices: Sequence[Notice]) -> Table:
    table = Table(title="Whom it tells", title_justify="left", title_style="bold", expand=True)
    table.add_column("Channel", ratio=1)
    table.add_column("Message", ratio=5)
    table.add_column("Why", ratio=3, style="dim")
    for notice in notices[:MOST_ROWS]:
        table.add_row(notice.channel, plain(notice.text), f"{notice.event}\n{notice.why}")
    if len(notices) > MOST_ROWS:
        table.add_row("", f"… and {len(notices) - MOST_ROWS:,} more", "")
    return table


def _notes(notes: Sequence[tuple[str, str]]) -> Table:
    table = Table(title="Assumed or left out", title_justify="left", title_style="bold", expand=True)
    table.add_column("Project", ratio=3)
    table.add_column("Note", ratio=5, style="dim")
    for key, note in notes[:MOST_ROWS]:
        table.add_row(key, plain(note))
    if len(notes) > MOST_ROWS:
        table.add_row(f"… and {len(notes) - MOST_ROWS} more", "")
    return table


def summary(result: Summary) -> RenderableType:
    """What a run came to, in a few lines."""
    lines = [Text.assemble(("Run ", "bold"), result.run, ": ", (result.result, f"bold {_RESULT_STYLE[result.result]}"))]
    lines += [Text(f"  {note}", style="yellow") for note in result.notes]
    lines += [Text(f"  {line}") for line in baseline(result)]
    told = [f"{result.counts[name]} {name}" for name in _TOLD if result.counts[name]]
    if told:
        lines.append(Text("  " + ", ".join(told)))
    kinds = [counted(count, name.split(" ", 1)[1]) for name, count in sorted(result.counts.items()) if name.startswith("created ")]
    if kinds:
        lines.append(Text(f"  made: {', '.join(kinds)}"))
    if result.asked:
        lines.append(Text(f"  {plain(result.asked)}", style="yellow"))
    if result.calls:
        lines.append(Text("  calls: " + ", ".join(f"{count} to {system}" for system, count in result.calls.items()), style="dim"))
    failed = [decision for decision in result.plan.decisions if decision.verdict == "failed"]
    if failed:
        cause = plain(failed[0].reason)
        lines.append(Text(f"  {len(failed)} decisions failed, the first: {cause}; `handoff status` lists the records", style="red"))
    lines += [Text(f"  {plain(error)}", style="yellow") for error in result.errors[:5]]
    if len(result.errors) > 5:
        lines.append(Text(f"  … and {len(result.errors) - 5} more; `handoff status` lists what waits", style="yellow"))
    if result.error is not None and not isinstance(result.error, UnsafePlan) and result.error not in result.failures.values():
        lines.append(Text(f"  {result.error}", style="red"))
    return Group(*lines, *gave_out(result))


def gave_out(result: Summary) -> list[Text]:
    """The systems that gave out, a line each."""
    return [Text(f"  {name}: {error}", style="red") for name, error in result.failures.items()]


def failures(result: Summary) -> Mapping[str, Any]:
    """Likewise, for scripts."""
    return {name: {"error": str(error), "error_type": kind_of(error)} for name, error in result.failures.items()}


def baseline(result: Summary) -> list[str]:
    unseen = "; if the CRM has some, see that the integration's user may read them"
    return [
        f"baseline: {counted(count, kind)} recorded, nothing created for them{'' if count else unseen}"
        for kind, count in result.baselined.items()
    ]


_TOLD = (
    *("created", "updated", "published", "adopted", "kept", "parked", "written back", "write-back refused", "write-back later", "issues"),
    *("told", "told later", "given up"),
)


def entries(title: str, listed: Iterable[tuple[RenderableType, Sequence[str]]], *, empty: str) -> RenderableType:
    """A list that reads well in any width: a headline each, details below it. Or the sentence that says there is nothing."""
    parts: list[RenderableType] = []
    for head, details in listed:
        parts.append(Padding(head, (0, 0, 0, 2), expand=False))
        parts += [Padding(Text(plain(detail), style="dim"), (0, 0, 0, 6), expand=False) for detail in details if detail]
    return Group(Text(title, style="bold"), *parts) if parts else Text(empty, style="dim")


def waiting(listed: Sequence[Waiting]) -> RenderableType:
    """What waits for a person: what it is, since when and why, what hangs on it, and the commands that decide it."""
    if not listed:
        return Text("Nothing waits for a person.", style="dim")
    parts: list[RenderableType] = [Text(f"Waiting for a person: {len(listed):,}", style="bold")]
    for one in listed[:MOST_ROWS]:
        parts += [Text(), Padding(Text.assemble((one.ref, "bold yellow"), f"  {one.what}"), (0, 0, 0, 2), expand=False)]
        since = f"since {one.since:%Y-%m-%d %H:%M} UTC: {plain(one.why)}"
        parts += [_detail(line) for line in (one.url, one.project_url, since, one.hangs) if line]
        parts += [_detail(f"{meaning}:", command) for command, meaning in one.commands()]
    if len(listed) > MOST_ROWS:
        parts += [Text(), Text(f"… and {len(listed) - MOST_ROWS:,} more; `handoff status --json` has them all")]
    return Group(*parts)


def _detail(text: str, command: str = "") -> RenderableType:
    line = Text(text, style="dim")
    if command:
        line.append("\n  ").append(command, style="cyan not dim")
    return Padding(line, (0, 0, 0, 6), expand=False)


def in_doubt(listed: Sequence[Doubt]) -> RenderableType:
    """Creations whose answer was lost: nobody need do anything."""
    return entries(
        "In doubt; settled by itself, nothing need be done",
        [
            (Text(one.what), (f"sent {one.sent:%Y-%m-%d %H:%M:%S} UTC, looked for again from {one.until:%H:%M:%S} UTC on: {one.why}",))
            for one in listed[:MOST_ROWS]
        ],
        empty="",
    )


def approvals(listed: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What a person is asked, each with what came of it so far."""
    shown = [approval(one) for one in listed[:MOST_ROWS]]
    told = f"Waiting for a person's yes: {len(listed):,}; `handoff approvals show NUMBER`, then approve or reject it"
    return entries(told, shown, empty="Nothing waits for a person's yes.")


def approval(one: Mapping[str, Any]) -> tuple[Text, tuple[str, ...]]:
    """An approval as `approving.data` has it."""
    about = "" if sources_of(one["subject"]) is not None else f"  {one['subject']}"
    head = Text.assemble((str(one["number"]), "bold yellow"), "  ", (plain(one["title"]), "bold"), about)
    return head, (f"asked {one['asked_at']:%Y-%m-%d %H:%M} UTC: {'; '.join(one['why'])}", one["told"])


def traffic(listed: Sequence[Traffic]) -> RenderableType:
    """The channels, and those that were not told what they should be."""
    lines = []
    for one in listed:
        told = [
            counted(one.sent, "message"),
            *([f"{one.late:,} late"] if one.late else []),
            *([f"{one.given_up:,} given up"] if one.given_up else []),
        ]
        lines.append(Text(f"  {one.channel}: {', '.join(told)}", style="yellow" if one.late or one.given_up else ""))
        if one.error and one.since:
            lines.append(Text(f"      since {one.since:%Y-%m-%d %H:%M} UTC: {plain(one.error)}", style="dim"))
    again = [Text("  `handoff retry` tries again what was given up.", style="dim")] if any(one.given_up for one in listed) else []
    return Group(Text("Told:", style="bold"), *lines, *again)


def as_data(result: Summary) -> Mapping[str, Any]:
    """The summary for scripts."""
    return {
        "run": result.run,
        "result": result.result,
        "baseline": dict(result.baselined),
        "counts": dict(result.counts),
        "calls": result.calls,
        "notes": result.notes,
        "errors": result.errors,
        "error": str(result.error) if result.error else "",
        "error_type": kind_of(result.error),
        "failures": failures(result),
        "over_limits": list(result.error.reasons) if isinstance(result.error, UnsafePlan) else [],
        "approval": result.error.approval if isinstance(result.error, UnsafePlan) else 0,
        "plan": plan_data(result.plan),
    }
