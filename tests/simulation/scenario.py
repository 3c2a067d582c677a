"""A scenario as data: what happens in the CRM and in the tool, the runs between, and the faults, all made from one integer.

Things have names that do not depend on each other ("deal 3"), and a fault has an address that stays when others are taken away (the n-th
request of a route in a run). So any part of a scenario can be left out, and the rest still means something.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

NAMES = (
    "Big deal", "Ünïcode & Söhne", "🚀 launch", "明远智能 二期", "two\nlines", "O'Brien \"Sons\"", "שלום עולם", "a  b", "{{ 7*7 }}",
)  # fmt: skip
MANY = 30


@dataclass(frozen=True, slots=True)
class Step:
    """Something a person does in the CRM or in the tool: `verb` names it, `what` is whom it concerns, `value` what is set."""

    verb: str
    what: int = 0
    value: Any = None

    def __str__(self) -> str:
        return f"{self.verb} {self.what}" + (f" {self.value!r}" if self.value is not None else "")


@dataclass(frozen=True, slots=True)
class Sync:
    """One process that runs `handoff sync`, `minutes` after the one before; a hint when it names deals."""

    name: int
    minutes: float = 20.0
    hints: tuple[int, ...] = ()
    patience: float = 180.0

    def __str__(self) -> str:
        hints = f" --only {', '.join(f'deal {n}' for n in self.hints)}" if self.hints else ""
        return f"sync {self.name}{hints}, {self.minutes:g} minutes later, patience {self.patience:g} s"


@dataclass(frozen=True, slots=True)
class Fault:
    """Strikes the `nth` request of `route`, or the nth commit, of the whole scenario. `step` is done meanwhile, for the kind "meanwhile"."""

    route: str
    nth: int
    kind: str
    seconds: float = 0.0
    status: int = 0
    step: Step | None = None

    def __str__(self) -> str:
        rest = f" {self.status}" if self.status else ""
        rest += f" {self.seconds:g} s" if self.seconds else ""
        rest += f" ({self.step})" if self.step else ""
        return f"fault {self.kind}{rest} at {self.route} {self.nth}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`like` names the target whose traits the tool wears: what that one has not, this one has not."""

    seed: int
    entries: tuple[Step | Sync, ...]
    faults: tuple[Fault, ...]
    page_rows: int = 2000
    find_lag: float = 0.0
    workers: int = 1
    like: str = "asana"

    def without(self, entries: Sequence[object] = (), faults: Sequence[object] = ()) -> Scenario:
        """The same, some parts left out; they are told apart by identity."""
        out = {id(each) for each in (*entries, *faults)}
        return replace(
            self,
            entries=tuple(each for each in self.entries if id(each) not in out),
            faults=tuple(each for each in self.faults if id(each) not in out),
        )

    def __str__(self) -> str:
        world = f"pages of {self.page_rows} rows" + (f", look-ups lag {self.find_lag:g} s" if self.find_lag else "")
        world += f", {self.workers} workers" if self.workers > 1 else ""
        world += f", a tool that has what {self.like} has" if self.like != "asana" else ""
        return "\n".join(f"  {each}" for each in (world, *self.entries, *self.faults))


# how each kind of fault is made: where it may strike, and with what

_LOSSES = ("reset_before", "reset_after", "error_before", "error_after", "html", "html_ok", "truncated", "empty", "refuse", "slow")
_LATE = ("late", "hang", "hang_after")
_CREATES = ("project", "section", "batch", "task", "story", "status", "dependency")
# route: how many requests of it a scenario of some size makes, roughly; beyond that a fault would seldom meet one
_ROUTES = {
    "project": 4, "section": 8, "batch": 12, "task": 2, "story": 3, "status": 1, "dependency": 4, "publish": 5, "membership": 3,
    "update": 4, "events": 8, "list": 20, "query": 40, "write back": 4, "token": 8, "any": 110,
}  # fmt: skip
_COMMITS = 90
_UPSETS = (
    "quota", "locators", "sync tokens", "tool token", "crm token", "login", "row locked", "jump", "jump", "disk full",
    "meanwhile", "meanwhile", "meanwhile",
)  # fmt: skip
_PEOPLE = (
    "rename project", "note project", "value project", "date project", "rename task", "note task", "date task", "assign task",
    "complete task", "complete task", "add task", "comment", "delete task", "archive project", "delete project", "move task",
)  # fmt: skip
SLOTS = ("kickoff", "scope", "line", "done", "agenda")


def generate(seed: int) -> Scenario:
    """The scenario of a seed."""
    return _Author(random.Random(f"scenario {seed}")).write(seed)  # a text seeds alike whatever PYTHONHASHSEED is


def crowd(scenario: Scenario, workers: int = 4) -> Scenario:
    """The same with many workers on a store they share, some of which are paused past their leases."""
    chance = random.Random(f"crowd {scenario.seed}")
    routes = ["list", "batch", "section", "project", "any", "any"]
    pauses = [
        Fault(route := chance.choice(routes), chance.randint(1, _ROUTES[route]), "pause", chance.uniform(61, 150))
        for _ in range(chance.choice([0, 1, 2, 4]))
    ]
    faults = (*(fault for fault in scenario.faults if fault.kind != "disk full"), *pauses)
    return replace(scenario, faults=faults, workers=workers)


class _Author:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deals = 0
        self._accounts = 0
        self._lines = 0
        self._amount = 1000
        self._said = 0
        self._won: list[int] = []
        self._entries: list[Step | Sync] = []

    def write(self, seed: int) -> Scenario:
        chance = self._chance
        for _ in range(chance.randint(1, 3)):
            self._account()
        for _ in range(chance.randint(2, 6)):
            self._deal(stage=chance.choice(["open", "open", "open", "won", "lost"]))
        if chance.random() < 0.06:
            self._entries.append(Step("flood", chance.randint(1, 2), MANY))
        runs = chance.randint(3, 9)
        self._entries.append(Sync(0, 1))
        for number in range(1, runs):
            self._busy(number)
            self._entries.append(self._sync(number))
        faults = tuple(self._fault() for _ in range(chance.choice([0, 1, 2, 3, 5, 8, 12, 20])))
        page_rows = chance.choice([2000, 2000, 2, 3, 5])
        return Scenario(seed, tuple(self._entries), faults, page_rows, chance.choice([0, 0, 0, 0, 0, 20.0]))

    def _sync(self, number: int) -> Sync:
        chance = self._chance
        hints = tuple(chance.randint(1, self._deals + 1) for _ in range(chance.randint(1, 4))) if chance.random() < 0.2 else ()
        return Sync(number, chance.choice([0.05, 1, 5, 20, 20, 20, 90, 1500]), hints, chance.choice([180.0, 180.0, 180.0, 0.0, 10.0]))

    def _busy(self, number: int) -> None:
        chance = self._chance
        for _ in range(chance.choice([1, 1, 2, 3, 4, 6])):
            early = number == 1 or not self._won or chance.random() < 0.6
            self._entries.append(self._in_crm() if early else self._in_tool())

    # the CRM

    def _account(self) -> None:
        self._accounts += 1
        self._entries.append(Step("account", self._accounts, self._chance.choice(NAMES)))

    def _deal(self, stage: str = "open") -> None:
        chance = self._chance
        self._deals += 1
        fields = {"name": chance.choice(NAMES), "amount": self._new_amount(), "stage": stage, "account": chance.randint(0, self._accounts)}
        self._entries.append(Step("deal", self._deals, fields))
        for _ in range(chance.choice([0, 0, 1, 2])):
            self._entries.append(self._line(self._deals))

    def _line(self, deal: int) -> Step:
        self._lines += 1
        return Step("line", deal, f"line {self._lines} {self._chance.choice(['', '数据', '🚚', 'a < b'])}".strip())

    def _new_amount(self) -> int:
        self._amount += self._chance.randint(1, 900)
        return self._amount if self._chance.random() < 0.85 else self._amount % 1000

    def _in_crm(self) -> Step:  # noqa: PLR0912 - one row a verb
        chance = self._chance
        deal, account = self._some_deal(), chance.randint(1, self._accounts)
        match chance.choices(
            ("win", "lose", "reopen", "amount", "name", "next", "close", "owner", "line", "account name", "vip", "standard", "merge",
             "delete", "undelete", "delete account", "undelete account", "touch", "late win", "late amount", "new", "new account"),
            (12, 1, 2, 4, 4, 2, 1, 1, 4, 2, 3, 1, 2, 1, 2, 0.4, 1, 1, 5, 2, 3, 1),
        )[0]:  # fmt: skip
            case "new":
                self._deals += 1
                stage = chance.choice(["open", "won"])
                self._won += [self._deals] if stage == "won" else []
                return Step(
                    "deal", self._deals, {"name": chance.choice(NAMES), "amount": self._new_amount(), "stage": stage, "account": account}
                )
            case "new account":
                self._accounts += 1
                return Step("account", self._accounts, chance.choice(NAMES))
            case "amount":
                return Step("amount", deal, self._new_amount())
            case "late amount":
                return Step("late amount", deal, (chance.randint(1, 8), self._new_amount()))
            case "win" | "late win" as verb:
                deal = chance.randint(1, self._deals)
                self._won.append(deal)
                return Step(verb, deal, chance.randint(1, 8) if verb == "late win" else None)
            case "name":
                return Step("name", deal, f"{chance.choice(NAMES)} {self._new_amount()}")
            case "next":
                return Step("next", deal, f"Call {self._new_amount()}")
            case "close":
                return Step("close", deal, f"2026-0{chance.randint(3, 9)}-1{chance.randint(0, 9)}")
            case "line":
                return self._line(deal)
            case "account name":
                return Step("account name", account, f"{chance.choice(NAMES)} {self._new_amount()}")
            case "merge":
                return Step("merge", account, chance.randint(1, self._accounts))
            case "vip" | "standard" | "delete account" | "undelete account" as verb:
                return Step(verb, account)
            case verb:
                return Step(verb, deal)
        raise AssertionError

    def _some_deal(self) -> int:
        """Rather one that was won: more hangs on it."""
        return self._chance.choice(self._won) if self._won and self._chance.random() < 0.7 else self._chance.randint(1, self._deals)

    # the tool

    def _in_tool(self) -> Step:
        chance = self._chance
        self._said += 1
        verb = chance.choice(_PEOPLE)
        if verb in ("delete project", "archive project", "delete task") and chance.random() < 0.6:
            verb = "comment"
        return Step(verb, self._some_deal(), (chance.choice(SLOTS), self._said))

    # what goes wrong

    def _fault(self) -> Fault:
        chance = self._chance
        route = chance.choice(list(_ROUTES))
        nth = chance.randint(1, _ROUTES[route])
        match chance.choices(("loss", "late", "crash", "slow down", "part", "world"), (8, 5, 7, 2, 2, 5))[0]:
            case "loss":
                return Fault(route, nth, chance.choice(_LOSSES), 5.0)
            case "late":
                route = chance.choice([*_CREATES, "publish", "update"])
                return Fault(route, chance.randint(1, _ROUTES[route]), chance.choice(_LATE), chance.choice([1.0, 20.0, 50.0]))
            case "crash":
                kind = chance.choice(["crash before", "crash after"])
                return Fault(route, nth, kind) if chance.random() < 0.4 else Fault("commit", chance.randint(1, _COMMITS), kind)
            case "slow down":
                return Fault(route, nth, "too many", chance.choice([0.0, 7.0, 45.0]), 429)
            case "part":
                kind, status = chance.choice([("part before", 500), ("part after", 502), ("part before", 429), ("part before", 400)])
                return Fault("batch", chance.randint(1, _ROUTES["batch"]), kind, float(chance.randint(1, 4)), status)
        return self._upset(route, nth)

    def _upset(self, route: str, nth: int) -> Fault:
        """The world around changes while a request is on its way."""
        chance = self._chance
        kind = chance.choice(_UPSETS)
        match kind:
            case "disk full":
                return Fault("commit", chance.randint(1, _COMMITS), kind)
            case "meanwhile":
                route = chance.choice(["query", "any", route])
                return Fault(route, chance.randint(1, _ROUTES[route]), kind, step=self._in_crm())
            case "jump":
                return Fault(route, nth, kind, chance.choice([7200.0, 36_000.0, -300.0, -1200.0]))
        route = {"locators": "query", "row locked": "any", "login": "token"}.get(kind, route)
        return Fault(route, chance.randint(1, _ROUTES[route]), kind)
