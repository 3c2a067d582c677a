"""The shape of what users write: `rules.yaml`, `mappings/<system>.yaml`, `mappings/blueprints/<name>.yaml`.

Shapes only. Reading YAML with positions is `engine.document`, checks across files are `engine.check`. Every field's description ends up in the
JSON Schemas and in the configuration reference.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from engine.model import CrmKind, ProjectStatus
from engine.schedule import Schedule
from engine.section import Name, Section

Event = Literal[
    "deal.created",
    "deal.won",
    "deal.lost",
    "deal.reopened",
    "deal.stage_changed",
    "deal.amount_changed",
    "deal.owner_changed",
    "deal.updated",
    "deal.deleted",
    "deal.restored",
    "customer.created",
    "customer.tier_changed",
    "customer.owner_changed",
    "customer.updated",
    "customer.merged",
    "customer.deleted",
    "customer.restored",
    "feedback.created",
    "feedback.updated",
]
When = Annotated[str, BeforeValidator(lambda value: str(value).lower() if isinstance(value, bool) else value)]


# rules.yaml


class Limits(Section):
    """What one run may do before a person has to say yes."""

    projects_per_run: int = Field(
        25, ge=0, description="New projects one run may create; above it the whole plan is refused until forced or approved."
    )
    updates_per_run: int = Field(500, ge=0, description="Existing objects one run may update, objects added to existing projects included.")
    comments_per_run: int = Field(100, ge=0, description="Comments and status updates one run may make.")
    objects_per_project: int = Field(1500, ge=1, description="Objects one project may consist of; a larger one is refused by itself.")
    deleted_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Share of a kind's known records that one run may take for deleted or merged; more looks like a fault of the CRM."
        " Ten are never too many; 1 switches it off.",
    )
    emptied_share: float = Field(
        0.5, gt=0, le=1, description="Share of the records with a value in some field that may lose it in one run; otherwise likewise."
    )
    touched_share: float = Field(
        0.5, gt=0, le=1, description="Share of the existing projects that one run may change, in whatever way; otherwise likewise."
    )
    above: Literal["refuse", "ask"] = Field(
        "refuse",
        description="What becomes of a plan above these limits: it is refused, or refused and laid before a person, and the next run carries it out"
        " if they approved exactly this plan.",
    )


class ApprovalSettings(Section):
    """How a person's word is waited for."""

    expire_after_hours: float = Field(72, gt=0, le=8760, description="Hours after which what nobody answered is given up.")


class RuleLimits(Section):
    projects_per_run: int | None = Field(None, ge=0, description="New projects this rule may create in one run.")
    updates_per_run: int | None = Field(None, ge=0, description="Objects of projects made by this rule that one run may update.")
    comments_per_run: int | None = Field(None, ge=0, description="Comments and status updates this rule may make in one run.")


class CreateProject(Section):
    create: Name = Field(description="Name of the blueprint to make a project from.")
    target: Name = Field(description="The system to make it in; `mappings/<target>.yaml` connects it.")
    parts: dict[Name, Name] = Field(
        default_factory=dict,
        description="Part of the blueprint → the system that gets it as a project of its own. Parts not named stay in the main project.",
    )


class AddComment(Section):
    comment: str = Field(min_length=1, description="Markdown template of the comment.")
    on: str = Field(
        pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$",
        description="`blueprint/slot`: the task that gets the comment, where that project exists, in whichever part.",
    )


class SetStatus(Section):
    set_status: ProjectStatus = Field(description="Status to give the project.")
    on: Name = Field(description="Blueprint whose project gets the status, where it exists; all its parts do.")
    text: str = Field("", description="Markdown template saying why.")


class Notify(Section):
    notify: Name = Field(description="Channel to tell, one of `channels`.")
    text: str = Field(min_length=1, description="Markdown template of the message.")


def _action_tag(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "do:" + next((tag for tag in ("create", "comment", "set_status", "notify") if tag in keys), "create")


# the tags hold a colon, so that in the place of an error they cannot be taken for keys
Do = Annotated[
    Annotated[CreateProject, Tag("do:create")]
    | Annotated[AddComment, Tag("do:comment")]
    | Annotated[SetStatus, Tag("do:set_status")]
    | Annotated[Notify, Tag("do:notify")],
    Discriminator(_action_tag),
]


class Rule(Section):
    name: Name = Field(description="Names the rule in plans, in the audit trail and in `handoff explain`.")
    description: str = Field("", description="For people.")
    enabled: bool = Field(True, description="A disabled rule is checked but never fires.")
    on: list[Event] = Field(min_length=1, description="Events that wake the rule.")
    when: When = Field("true", min_length=1, description="Condition over `deal`, `customer`, `feedback`, `before` and `event`.")
    do: list[Do] = Field(min_length=1, description="What follows, in this order.")
    limits: RuleLimits = Field(default_factory=RuleLimits, description="Tighter limits for this rule.")
    approval: bool = Field(False, description="A person has to say yes first; until then the record waits with everything planned for it.")
    backfill: date | None = Field(None, description="On first contact also act on what happened on or after this date.")


class Currencies(Section):
    base: str = Field(min_length=3, max_length=3, description="ISO code the rates lead to.")
    rates: dict[str, Decimal] = Field(default_factory=dict, description="What one unit of each currency is worth in the base currency.")


AlertKind = Literal["failed", "refused", "waiting", "approval", "silence", "overdue", "given_up"]


class Alerts(Section):
    """What people are told of Handoff itself.

    `failed`: a system cannot be reached or refuses credentials; what may pass by itself is told after half an hour. `refused`: a plan is above
    its limits. `waiting`: something waits for a person. `approval`: a person is asked for approval. `silence`: a system that should tell of its
    changes has gone quiet. `overdue`: a scheduled sync does not take place. `given_up`: messages to a channel were given up.
    """

    to: list[Name] = Field(min_length=1, description="Channels to tell, of `channels`.")
    on: list[AlertKind] = Field(list(get_args(AlertKind)), min_length=1, description="What to tell of; everything unless said.")
    repeat_after_hours: int = Field(24, ge=1, description="What lasts is told again after so many hours.")


class Rules(Section):
    """`rules.yaml`: when a change calls for what."""

    version: Literal[1] = Field(description="Format of this file.")
    sources: list[Name] = Field(min_length=1, description="CRMs to read; `mappings/<source>.yaml` connects each.")
    timezone: str = Field("UTC", description="IANA time zone in which a moment becomes a calendar day, unless a blueprint says otherwise.")
    calendar: str = Field(
        "", description="Working-day calendar: a country (`CN`, `DE`), a part of one (`US-CA`), or empty for Monday to Friday."
    )
    currencies: Currencies | None = Field(None, description="Exchange rates for `convert`.")
    limits: Limits = Field(default_factory=Limits, description="Limits for one run.")
    approvals: ApprovalSettings = Field(default_factory=ApprovalSettings, description="How long a person's word is waited for.")
    schedules: list[Schedule] = Field(
        default_factory=list, description="When syncs start by themselves under Prefect; without it, as `handoff serve --every` says."
    )
    retention_days: int = Field(
        90, ge=7, description="Days for which runs, reasons, settled work and answered questions are kept. What was made is known for ever."
    )
    channels: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        description="Where people are told: a name → one of `slack`, `teams`, `feishu`, `dingtalk`, `wecom`, `email`, `webhook` and its settings."
        " `${NAME}` is taken from the environment, `${file:PATH}` from a file.",
    )
    alerts: Alerts | None = Field(None, description="What people are told of Handoff itself.")
    rules: list[Rule] = Field(min_length=1, description="Rules, tried in this order; every one that applies acts.")


# mappings/<system>.yaml


class FieldSource(Section):
    field: str = Field(min_length=1, description="The CRM's field, a path with dots for related objects (`Owner.Email`).")
    values: dict[str, str] = Field(default_factory=dict, description="The CRM's value → ours.")
    default: str | None = Field(None, description="Ours for any other value. Without it the CRM's value is kept.")


class StatusFlags(Section):
    won: str = Field(description="Boolean CRM field that is true for won deals.")
    closed: str = Field(description="Boolean CRM field that is true for won and lost deals.")


def _field_tag(value: Any) -> str:
    if isinstance(value, StatusFlags) or (isinstance(value, dict) and {"won", "closed"} & value.keys()):
        return "field:flags"
    return "field:source" if isinstance(value, FieldSource | dict) else "field:name"


FieldSpec = Annotated[
    Annotated[str, Tag("field:name")] | Annotated[FieldSource, Tag("field:source")] | Annotated[StatusFlags, Tag("field:flags")],
    Discriminator(_field_tag),
]
ChildName = Literal["contacts", "line_items", "stage_history"]


class ChildMapping(Section):
    object: str = Field(description="The CRM's object.")
    fields: dict[str, FieldSpec] = Field(description="Our field → the CRM's.")
    custom: dict[str, FieldSpec] = Field(default_factory=dict, description="Further fields, available as `<child>.custom.<name>`.")


class KindMapping(Section):
    object: str = Field(description="The CRM's object.")
    fields: dict[str, FieldSpec] = Field(description="Our field → the CRM's.")
    custom: dict[str, FieldSpec] = Field(default_factory=dict, description="Further fields, available as `<kind>.custom.<name>`.")
    children: dict[ChildName, ChildMapping] = Field(default_factory=dict, description="Lists that belong to this object.")


WriteBackField = Literal["project_url", "project_status", "progress", "project_key"]


class People(Section):
    overrides: dict[str, str] = Field(default_factory=dict, description="CRM e-mail → e-mail in this tool, where they differ.")
    roles: dict[Name, str] = Field(default_factory=dict, description="Role → e-mail, or a template over the deal that gives one.")
    fallback: str = Field("", description="E-mail that gets what nobody else could be found for.")


class ToolField(Section):
    custom_field: str = Field(min_length=1, description="The tool's custom field, by name or id.")
    values: dict[str, str] = Field(default_factory=dict, description="Our value → the tool's option.")


class SystemMapping(Section):
    """`mappings/<system>.yaml`: how one system is reached, and its names ↔ ours."""

    version: Literal[1] = Field(description="Format of this file.")
    system: str = Field(description="The connector (`salesforce`, `asana`).")
    connection: dict[str, Any] = Field(
        default_factory=dict,
        description="How to reach it; the keys are the connector's own. `${NAME}` is taken from the environment, `${file:PATH}` from a file."
        " Only a system that pushes and is nothing else can do without.",
    )
    read: dict[CrmKind, KindMapping] = Field(default_factory=dict, description="What is read, for a system that is a source.")
    write_back: dict[CrmKind, dict[WriteBackField, str]] = Field(
        default_factory=dict, description="What is written back: ours → the CRM's field."
    )
    push: dict[str, Any] | None = Field(
        None,
        description="That the system tells of changes by itself, to the hub; the keys are the connector's own, `{}` where it needs none."
        " With `system: generic`, webhooks that are not the connector's own: of a plug-in, or of an automation."
        " Polling goes on and finds what was not told.",
    )
    people: People = Field(default_factory=People, description="Who is who, for a system that is a target.")
    fields: dict[str, ToolField] = Field(
        default_factory=dict, description="Blueprint custom field → the tool's, for a system that is a target."
    )


# mappings/blueprints/<name>.yaml

Keep = Literal["in_step", "crm"]
ProjectField = Literal["name", "notes", "owner", "start_on", "due_on", "custom"]
TaskField = Literal["name", "notes", "assignee", "start_on", "due_on", "custom"]


class SubtaskSpec(Section):
    slot: Name = Field(description="Stable name; part of the key, never change it once projects exist.")
    name: str = Field(min_length=1, description="Template of the name.")
    notes: str = Field("", description="Markdown template.")
    assignee: str = Field("", description="A role from the target's `people.roles`, or a template that gives an e-mail.")
    followers: list[str] = Field(default_factory=list, description="Roles or templates, like `assignee`.")
    start: str = Field("", description="Relative date, e.g. `after kickoff` or `anchor + 2 working days`.")
    due: str = Field("", description="Relative date, e.g. `start + 3 working days`.")
    after: list[Name] = Field(default_factory=list, description="Slots this task waits for.")
    milestone: bool = Field(False, description="A point in time rather than work.")
    custom: dict[str, str] = Field(default_factory=dict, description="Custom field (a name under the target's `fields`) → template.")
    when: When = Field("", description="Condition; without it the task is always made.")
    for_each: str = Field(
        "", alias="for", description="`item in deal.line_items`: one task for each, `item` is available in its templates."
    )


class TaskSpec(SubtaskSpec):
    subtasks: list[SubtaskSpec] = Field(default_factory=list, description="Tasks inside this task.")


class SectionSpec(Section):
    slot: Name = Field(description="Stable name; part of the key.")
    name: str = Field(min_length=1, description="Template of the name.")
    part: Name | Literal[""] = Field(
        "", description="Part of the project it belongs to; a rule may give the part to another tool (`parts:`)."
    )
    when: When = Field("", description="Condition; without it the section is always made.")
    tasks: list[TaskSpec] = Field(default_factory=list, description="Tasks in this section, in this order.")


class ProjectSpec(Section):
    name: str = Field(min_length=1, description="Template of the project's name.")
    notes: str = Field("", description="Markdown template: the customer's context.")
    owner: str = Field("", description="A role from the target's `people.roles`, or a template that gives an e-mail.")
    followers: list[str] = Field(default_factory=list, description="Roles or templates.")
    start: str = Field("", description="Relative date.")
    due: str = Field("", description="Relative date; `last due` is the latest due date of its tasks.")
    custom: dict[str, str] = Field(default_factory=dict, description="Custom field → template.")


class KeepInStep(Section):
    """Which fields follow the CRM after creation. `in_step`: unless a person changed them. `crm`: always."""

    project: dict[ProjectField, Keep] = Field({"notes": "in_step", "custom": "in_step"}, description="Fields of the project.")
    task: dict[TaskField, Keep] = Field({}, description="Fields of its tasks and sub-tasks.")


class BlueprintSpec(Section):
    """A project template."""

    version: Literal[1] = Field(description="Format of this file.")
    name: Name = Field(description="Equals the file's name.")
    description: str = Field("", description="For people.")
    for_kind: Literal["deal", "customer", "feedback"] = Field("deal", alias="for", description="What it is made from.")
    anchor: str = Field("event", description="Relative date all others may count from; `event` is the day the triggering event was seen.")
    calendar: str | None = Field(None, description="Working-day calendar, instead of the one in rules.yaml.")
    timezone: str | None = Field(None, description="Time zone, instead of the one in rules.yaml.")
    project: ProjectSpec = Field(description="The project itself.")
    sections: list[SectionSpec] = Field(min_length=1, description="Its sections, in this order.")
    keep: KeepInStep = Field(default_factory=KeepInStep, description="What follows the CRM after creation.")
