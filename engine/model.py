"""The nouns everything else speaks in: the canonical CRM side, what a source yields, and what a project tool should hold.

Canonical models are pydantic (they are validated where data enters); the engine's own values are frozen, slotted dataclasses.
Money is `Decimal` plus a currency code, moments are aware `datetime`, calendar days are `date`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

CrmKind = Literal["customer", "deal", "contact", "feedback"]
ItemKind = Literal["project", "section", "task", "dependency", "comment", "status"]
DealStatus = Literal["open", "won", "lost"]
ProjectStatus = Literal["on_track", "at_risk", "off_track", "on_hold", "complete", "dropped"]
Value = str | int | Decimal | bool | date | datetime | list[str] | None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, told so that its author can mend it without reading code.

    `path` addresses the node inside the document (`("rules", 0, "when")`); `line` and `column` count from 1 and are 0 when unknown.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.message}{hint}" if place else f"{self.message}{hint}"


def shortest(number: Decimal) -> Decimal:
    """The same number without trailing zeros: CRMs send 24000, 24000.0 and 24000.00 for one amount."""
    text = str(number)
    if "E" not in text and ("." not in text or text[-1] != "0"):
        return number
    if len(text) > 28:
        return number  # more digits than arithmetic keeps
    short = number.normalize()
    return short.quantize(Decimal(1)) if short.as_tuple().exponent > 0 else short  # type: ignore[operator]


def _packed(custom: dict[str, Any]) -> dict[str, Any]:
    return {name: {"$decimal": str(value)} if isinstance(value, Decimal) else value for name, value in custom.items()}


def _unpacked(custom: Any) -> Any:
    return {name: _unpacked_value(value) for name, value in custom.items()} if isinstance(custom, dict) else custom


def _unpacked_value(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"$decimal"}:
        return Decimal(value["$decimal"])
    return shortest(value) if isinstance(value, Decimal) else value


Number = Annotated[Decimal, AfterValidator(shortest)]
# What a mapping adds. Numbers stay numbers when a model is kept as JSON text and read again.
Custom = Annotated[dict[str, Any], BeforeValidator(_unpacked), PlainSerializer(_packed)]


class Canonical(BaseModel):
    """Shared settings of the canonical models: immutable, closed, what a mapping adds lives in `custom`."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Person(Canonical):
    """Somebody named by a CRM. E-mail is what ties them to a user of the project tool."""

    id: str = ""
    name: str = ""
    email: str = ""
    active: bool = True


class Contact(Canonical):
    id: str
    name: str = ""
    email: str = ""
    phone: str = ""
    title: str = ""
    role: str = ""
    primary: bool = False
    custom: Custom = Field(default_factory=dict)


class LineItem(Canonical):
    id: str
    product: str = ""
    code: str = ""
    description: str = ""
    quantity: Number | None = None
    unit_price: Number | None = None
    total: Number | None = None
    service_date: date | None = None
    position: int | None = None
    custom: Custom = Field(default_factory=dict)


class StageChange(Canonical):
    """One row of a deal's stage history, oldest first in `Deal.stage_history`."""

    stage: str
    at: AwareDatetime
    amount: Number | None = None


class Customer(Canonical):
    system: str
    id: str
    name: str = ""
    website: str = ""
    industry: str = ""
    phone: str = ""
    tier: str = ""
    country: str = ""
    city: str = ""
    employees: int | None = None
    annual_revenue: Number | None = None
    currency: str = ""
    description: str = ""
    owner: Person | None = None
    created_at: AwareDatetime | None = None
    url: str = ""
    custom: Custom = Field(default_factory=dict)


class Deal(Canonical):
    """A deal with everything a rule or a blueprint may ask for. `customer` is attached while planning, never stored with the deal."""

    system: str
    id: str
    name: str = ""
    stage: str = ""
    status: DealStatus = "open"
    amount: Number | None = None
    currency: str = ""
    probability: Number | None = None
    close_date: date | None = None
    type: str = ""
    lead_source: str = ""
    next_step: str = ""
    description: str = ""
    owner: Person | None = None
    customer_id: str = ""
    customer: Customer | None = None
    contacts: tuple[Contact, ...] = ()
    line_items: tuple[LineItem, ...] = ()
    stage_history: tuple[StageChange, ...] = ()
    created_at: AwareDatetime | None = None
    url: str = ""
    custom: Custom = Field(default_factory=dict)


class Feedback(Canonical):
    system: str
    id: str
    subject: str = ""
    body: str = ""
    rating: int | None = None
    status: str = ""
    customer_id: str = ""
    customer: Customer | None = None
    owner: Person | None = None
    created_at: AwareDatetime | None = None
    url: str = ""
    custom: Custom = Field(default_factory=dict)


class EventInfo(Canonical):
    """What expressions see as `event`."""

    name: str
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Record:
    """What a source yields: one object as the CRM holds it now, complete (children included), in the CRM's own field names.

    `fields` is nested like the CRM's answer: `{"StageName": …, "Owner": {"Email": …}, "line_items": [{…}]}`; a child list stands under the
    mapping's name for it. `version` changes whenever the object does. `modified_at` is aware. A deleted record may have empty fields.
    """

    system: str
    kind: CrmKind
    id: str
    version: str
    modified_at: datetime
    fields: Mapping[str, Any]
    url: str = ""
    deleted: bool = False
    merged_into: str = ""


HintKind = CrmKind | Literal["tool"]


@dataclass(frozen=True, slots=True)
class Hint:
    """A record that may have changed, or is gone. Of a tool (kind "tool", no id): that something in it did."""

    kind: HintKind
    id: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What a source is asked to fetch of one kind: the CRM's object, the raw field paths the mapping uses, and its child lists.

    `fields` are dotted raw paths (`Name`, `Owner.Email`). `places` gives each raw path its position in the mapping file, so that a field
    that is gone from the CRM is reported where it is written.
    """

    object: str
    fields: tuple[str, ...]
    children: Mapping[str, Read] = field(default_factory=dict)
    places: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteBack:
    """Fields to set on one CRM object, in the CRM's own names. Absolute values: writing them twice is harmless."""

    kind: CrmKind
    id: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Item:
    """One object a project tool should hold. `key` is deterministic and readable; it is the identity everywhere.

    Fields by kind (absent = not wanted, never "clear it"):
    project     name str · notes str (Markdown) · start_on, due_on date · owner e-mail · followers tuple of e-mails · custom {name: Value}
    section     name str
    task        name str · notes str (Markdown) · start_on, due_on date · assignee e-mail · followers · milestone bool · custom {name: Value}
    dependency  no fields: its parent task waits for every task in `depends_on`
    comment     text str (Markdown), on its parent task
    status      status ProjectStatus · title str · text str (Markdown), on its project

    `parent` is the key of the object it lives in (a task's section is `section`; a sub-task's parent is a task's key, a task's the project's).
    """

    key: str
    kind: ItemKind
    fields: Mapping[str, Any]
    project: str
    parent: str = ""
    section: str = ""
    depends_on: tuple[str, ...] = ()


Op = Literal["create", "update", "publish"]
Verdict = Literal["acts", "passed", "failed", "waits"]


@dataclass(frozen=True, slots=True)
class Action:
    """A decision to create, update or publish one item, with its cause.

    `source` is the CRM object that caused it (`salesforce:deal:006…`), `why` says it for people (`rule onboard-won-deals, rules.yaml:14`).
    For an update `changed` holds the fields to bring up to date and `keep` says for each whether a person's edit wins (`in_step`) or not (`crm`);
    for others both are empty.
    """

    op: Op
    item: Item
    target: str
    source: str
    blueprint: str
    event: str
    event_at: datetime
    rule: str
    why: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """A decision to tell people something, once: `text` (Markdown) to a channel. `key` says of which event and by which rule; it is told of once."""

    key: str
    channel: str
    source: str
    event: str
    rule: str
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one rule made of one change. `seen` are the values its condition looked at, `title` is the record's name, for people."""

    source: str
    event: str
    rule: str
    verdict: Verdict
    reason: str
    seen: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
