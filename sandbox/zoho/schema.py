"""Modules and their fields, as an organisation has set them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

TEXTUAL = frozenset({"text", "textarea", "email", "phone", "website", "picklist", "autonumber", "bigint"})
LOOKUPS = frozenset({"lookup", "userlookup", "ownerlookup"})
LENGTHS = {"text": 255, "textarea": 32_000, "email": 100, "phone": 30, "website": 450, "picklist": 120, "bigint": 18}


@dataclass(frozen=True, slots=True)
class Field:
    """`to` is the module a lookup points to, or that holds a subform's rows; `values` are a picklist's choices. No `values`: any is taken."""

    name: str
    type: str = "text"
    label: str = ""
    values: tuple[str, ...] = ()
    to: str = ""
    length: int = 0
    required: bool = False
    unique: bool = False
    read_only: bool = False
    custom: bool = False
    id: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name.replace("_", " ")

    @property
    def longest(self) -> int:
        return self.length or LENGTHS.get(self.type, 0)


@dataclass(slots=True)
class Module:
    """`related` names the related lists; `hidden` are the fields the integration's user may not see."""

    name: str
    singular: str
    plural: str
    title: str
    fields: dict[str, Field]
    id: str = ""
    layout_id: str = ""
    sort: str = "default"
    parent: str = ""
    related: tuple[str, ...] = ()
    hidden: set[str] = field(default_factory=set)

    def seen(self, name: str) -> Field | None:
        """The field, when there is one of that name to be seen."""
        return None if name in self.hidden else self.fields.get(name)

    @property
    def visible(self) -> list[Field]:
        return [each for each in self.fields.values() if each.name not in self.hidden]


@dataclass(frozen=True, slots=True)
class Transition:
    """One way out of a stage under a Blueprint; `needs` are the fields it asks for."""

    id: str
    name: str
    target: str
    sources: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class Blueprint:
    """A process that governs one field of a module: only its transitions may change it."""

    id: str
    name: str
    module: str
    field: str
    transitions: list[Transition]


SYSTEM = (
    Field("Owner", "ownerlookup", "Owner"),
    Field("Created_By", "ownerlookup", "Created By", read_only=True),
    Field("Modified_By", "ownerlookup", "Modified By", read_only=True),
    Field("Created_Time", "datetime", "Created Time", read_only=True),
    Field("Modified_Time", "datetime", "Modified Time", read_only=True),
    Field("Tag", "text", "Tag", read_only=True),
)
ADDRESS = ("Street", "City", "State", "Code", "Country")
INDUSTRIES = ("ASP (Application Service Provider)", "Communications", "Large Enterprise", "Manufacturing", "Small/Medium Enterprise")
SOURCES = ("Advertisement", "Cold Call", "Employee Referral", "Partner", "Web Research", "Trade Show")
STAGES: tuple[tuple[str, int, str], ...] = (
    ("Qualification", 10, "Open"),
    ("Needs Analysis", 20, "Open"),
    ("Value Proposition", 40, "Open"),
    ("Identify Decision Makers", 60, "Open"),
    ("Proposal/Price Quote", 75, "Open"),
    ("Negotiation/Review", 90, "Open"),
    ("Closed Won", 100, "Closed Won"),
    ("Closed Lost", 0, "Closed Lost"),
    ("Closed Lost to Competition", 0, "Closed Lost"),
)
"""Stage, probability, forecast type: what the standard pipeline of a new organisation holds."""


def module(names: tuple[str, str, str], title: str, fields: Iterable[Field], related: tuple[str, ...] = ()) -> Module:
    """A module, called by its API name, one of it and many of it, with the fields every one has."""
    return Module(*names, title, {each.name: each for each in (*fields, *SYSTEM)}, related=related)


def _address(prefix: str) -> list[Field]:
    return [Field(f"{prefix}_{part}", "text", f"{prefix} {part}") for part in ADDRESS]


def standard_modules() -> dict[str, Module]:
    lists = ("Notes", "Attachments")
    found = [
        module(("Leads", "Lead", "Leads"), "Full_Name", [*_person(), Field("Company", required=True), *_contact_ways()], lists),
        module(("Accounts", "Account", "Accounts"), "Account_Name", _account(), (*lists, "Contacts", "Deals", "Products")),
        module(("Contacts", "Contact", "Contacts"), "Full_Name", _contact(), (*lists, "Deals", "Products")),
        module(("Deals", "Deal", "Deals"), "Deal_Name", _deal(), (*lists, "Stage_History", "Contact_Roles", "Products")),
        module(("Products", "Product", "Products"), "Product_Name", _product(), (*lists, "Deals")),
        module(("Cases", "Case", "Cases"), "Subject", _case(), lists),
        module(("Tasks", "Task", "Tasks"), "Subject", _task(), lists),
        module(("Notes", "Note", "Notes"), "Note_Title", _note()),
        module(("DealHistory", "Deal History", "Deal History"), "Stage", _history()),
    ]
    return {each.name: each for each in found}


def _person() -> list[Field]:
    return [
        Field("First_Name", "text", "First Name", length=40),
        Field("Last_Name", "text", "Last Name", length=80, required=True),
        Field("Full_Name", "text", "Full Name", read_only=True),
        Field("Email", "email"),
    ]


def _contact_ways() -> list[Field]:
    return [
        Field("Phone", "phone"),
        Field("Website", "website"),
        Field("Lead_Source", "picklist", "Lead Source", SOURCES),
        Field("Description", "textarea"),
    ]


def _account() -> list[Field]:
    return [
        Field("Account_Name", "text", "Account Name", length=200, required=True),
        Field("Account_Number", "bigint", "Account Number"),
        Field("Account_Type", "picklist", "Account Type", ("Customer", "Partner", "Prospect")),
        Field("Industry", "picklist", "Industry", INDUSTRIES),
        Field("Annual_Revenue", "currency", "Annual Revenue"),
        Field("Employees", "integer"),
        Field("Rating", "picklist", "Rating", ("Acquired", "Active", "Market Failed")),
        Field("Parent_Account", "lookup", "Parent Account", to="Accounts"),
        *_contact_ways()[:2],
        *_address("Billing"),
        *_address("Shipping"),
        Field("Description", "textarea"),
    ]


def _contact() -> list[Field]:
    link = Field("Account_Name", "lookup", "Account Name", to="Accounts")
    more = [Field("Title", "text", "Title", length=100), Field("Department", "text", length=50), Field("Mobile", "phone")]
    return [*_person(), link, *more, *_contact_ways(), *_address("Mailing")]


def _deal() -> list[Field]:
    return [
        Field("Deal_Name", "text", "Deal Name", length=120, required=True),
        Field("Account_Name", "lookup", "Account Name", to="Accounts"),
        Field("Contact_Name", "lookup", "Contact Name", to="Contacts"),
        Field("Amount", "currency"),
        Field("Stage", "picklist", "Stage", tuple(name for name, _, _ in STAGES), required=True),
        Field("Pipeline", "picklist", "Pipeline", ("Standard (Standard)",)),
        Field("Probability", "integer", "Probability (%)"),
        Field("Expected_Revenue", "currency", "Expected Revenue", read_only=True),
        Field("Closing_Date", "date", "Closing Date"),
        Field("Type", "picklist", "Type", ("Existing Business", "New Business")),
        Field("Lead_Source", "picklist", "Lead Source", SOURCES),
        Field("Next_Step", "text", "Next Step", length=100),
        Field("Description", "textarea"),
    ]


def _product() -> list[Field]:
    return [
        Field("Product_Name", "text", "Product Name", length=200, required=True),
        Field("Product_Code", "text", "Product Code", length=40),
        Field("Product_Category", "picklist", "Product Category", ("Hardware", "Software", "CRM Applications")),
        Field("Product_Active", "boolean", "Product Active"),
        Field("Unit_Price", "currency", "Unit Price"),
        Field("Description", "textarea"),
    ]


def _case() -> list[Field]:
    return [
        Field("Subject", "text", length=255, required=True),
        Field("Case_Number", "autonumber", "Case Number", read_only=True),
        Field("Status", "picklist", "Status", ("New", "On Hold", "Escalated", "Closed"), required=True),
        Field("Case_Origin", "picklist", "Case Origin", ("Email", "Phone", "Web"), required=True),
        Field("Priority", "picklist", "Priority", ("High", "Medium", "Low")),
        Field("Account_Name", "lookup", "Account Name", to="Accounts"),
        Field("Deal_Name", "lookup", "Deal Name", to="Deals"),
        Field("Related_To", "lookup", "Contact Name", to="Contacts"),
        Field("Description", "textarea"),
        Field("Solution", "textarea"),
    ]


def _task() -> list[Field]:
    return [
        Field("Subject", "text", length=255, required=True),
        Field("Status", "picklist", "Status", ("Not Started", "Deferred", "In Progress", "Completed", "Waiting for input")),
        Field("Priority", "picklist", "Priority", ("High", "Highest", "Low", "Lowest", "Normal")),
        Field("Due_Date", "date", "Due Date"),
        Field("What_Id", "lookup", "Related To", to="Deals"),
        Field("Who_Id", "lookup", "Contact Name", to="Contacts"),
        Field("Description", "textarea"),
    ]


def _note() -> list[Field]:
    return [
        Field("Note_Title", "text", "Note Title", length=120),
        Field("Note_Content", "textarea", "Note Content", required=True),
        Field("Parent_Id", "lookup", "Parent Id"),
    ]


def _history() -> list[Field]:
    return [
        Field("Potential_Name", "lookup", "Deal Name", to="Deals"),
        Field("Stage", "picklist", "Stage"),
        Field("Moved_To__s", "picklist", "Moved To"),
        Field("Amount", "currency"),
        Field("Probability", "integer", "Probability (%)"),
        Field("Expected_Revenue", "currency", "Expected Revenue"),
        Field("Closing_Date", "date", "Closing Date"),
        Field("Stage_Duration_Calendar_Days", "integer", "Stage Duration (Calendar Days)"),
    ]
