"""The standard objects of a new org, its stages and the custom fields every org is given."""

from __future__ import annotations

from sandbox.salesforce.schema import Child, Field, Spec, flag, money, pick, read_only, ref, spec, texts

# name, closed, won, probability, forecast category
STAGES = (
    ("Prospecting", False, False, 10, "Pipeline"),
    ("Qualification", False, False, 10, "Pipeline"),
    ("Needs Analysis", False, False, 20, "Pipeline"),
    ("Value Proposition", False, False, 50, "Pipeline"),
    ("Id. Decision Makers", False, False, 60, "Pipeline"),
    ("Perception Analysis", False, False, 70, "Pipeline"),
    ("Proposal/Price Quote", False, False, 75, "Best Case"),
    ("Negotiation/Review", False, False, 90, "Commit"),
    ("Closed Won", True, True, 100, "Closed"),
    ("Closed Lost", True, False, 0, "Omitted"),
)
FORECASTS = ("Omitted", "Pipeline", "Best Case", "Commit", "Closed")
INDUSTRIES = ("Agriculture", "Banking", "Construction", "Consulting", "Education", "Electronics", "Energy", "Finance", "Healthcare")


def _owner() -> Field:
    return ref("OwnerId", "User", nillable=False)


def _address(prefix: str) -> list[Field]:
    whole = f"{prefix}Address"
    parts = texts(*(f"{prefix}{part}" for part in ("Street", "City", "State", "PostalCode", "Country")), compound=whole)
    return [*parts, read_only(Field(whole, "address"))]


def _person() -> list[Field]:
    name = read_only(Field("Name", "string", 121, nillable=False))
    return [Field("LastName", length=80, nillable=False, compound="Name"), *texts("FirstName", length=40, compound="Name"), name]


def _account() -> Spec:
    return spec(
        "Account",
        "001",
        read_only(ref("MasterRecordId", "Account", "MasterRecord")),
        Field("Name", length=255, nillable=False),
        pick("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Partner", "Other"),
        ref("ParentId", "Account"),
        _address("Billing"),
        texts("Phone", length=40, type="phone"),
        texts("Website", type="url"),
        pick("Industry", *INDUSTRIES),
        money("AnnualRevenue"),
        Field("NumberOfEmployees", "int"),
        Field("Description", "textarea", 32000),
        pick("Rating", "Hot", "Warm", "Cold"),
        texts("AccountNumber", length=40),
        _owner(),
        children=[
            Child("ChildAccounts", "Account", "ParentId"),
            Child("Contacts", "Contact", "AccountId", cascade=True),
            Child("Opportunities", "Opportunity", "AccountId", cascade=True),
        ],
        mergeable=True,
    )


def _contact() -> Spec:
    return spec(
        "Contact",
        "003",
        read_only(ref("MasterRecordId", "Contact", "MasterRecord")),
        ref("AccountId", "Account"),
        _person(),
        texts("Phone", "MobilePhone", length=40, type="phone"),
        texts("Email", length=80, type="email"),
        texts("Title", length=128),
        texts("Department", length=80),
        Field("Description", "textarea", 32000),
        _owner(),
        children=[Child("OpportunityContactRoles", "OpportunityContactRole", "ContactId", cascade=True)],
        mergeable=True,
    )


def _opportunity() -> Spec:
    return spec(
        "Opportunity",
        "006",
        ref("AccountId", "Account"),
        ref("RecordTypeId", "RecordType"),
        Field("Name", length=120, nillable=False),
        Field("Description", "textarea", 32000),
        pick("StageName", *(stage[0] for stage in STAGES), nillable=False),
        money("Amount"),
        Field("Probability", "percent"),
        [read_only(each) for each in money("ExpectedRevenue")],
        Field("CloseDate", "date", nillable=False),
        pick("Type", "Existing Customer - Upgrade", "Existing Customer - Replacement", "New Customer"),
        texts("NextStep"),
        pick("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
        read_only(flag("IsClosed")),
        read_only(flag("IsWon")),
        pick("ForecastCategoryName", *FORECASTS),
        ref("Pricebook2Id", "Pricebook2", "Pricebook2"),
        _owner(),
        read_only(flag("HasOpportunityLineItem")),
        children=[
            Child("OpportunityLineItems", "OpportunityLineItem", "OpportunityId", cascade=True),
            Child("OpportunityContactRoles", "OpportunityContactRole", "OpportunityId", cascade=True),
            Child("OpportunityHistories", "OpportunityHistory", "OpportunityId", cascade=True),
        ],
        plural="Opportunities",
    )


def _deal_parts() -> list[Spec]:
    line_item = spec(
        "OpportunityLineItem",
        "00k",
        ref("OpportunityId", "Opportunity", nillable=False),
        Field("SortOrder", "int"),
        ref("PricebookEntryId", "PricebookEntry"),
        ref("Product2Id", "Product2", "Product2"),
        texts("ProductCode", "Name"),
        Field("Quantity", "double", nillable=False),
        money("TotalPrice", "UnitPrice"),
        [read_only(each) for each in money("ListPrice")],
        Field("ServiceDate", "date"),
        texts("Description"),
    )
    role = spec(
        "OpportunityContactRole",
        "00K",
        ref("OpportunityId", "Opportunity", nillable=False),
        ref("ContactId", "Contact", nillable=False),
        pick("Role", "Business User", "Decision Maker", "Economic Buyer", "Executive Sponsor", "Influencer", "Technical Buyer", "Other"),
        flag("IsPrimary"),
    )
    past = [*money("Amount", "ExpectedRevenue", "PrevAmount"), Field("CloseDate", "date"), Field("PrevCloseDate", "date")]
    history = spec(
        "OpportunityHistory",
        "008",
        ref("OpportunityId", "Opportunity"),
        [read_only(each) for each in (pick("StageName"), Field("Probability", "percent"), pick("ForecastCategory", *FORECASTS), *past)],
        plural="OpportunityHistories",
        writable=False,
        ordered=("CreatedDate",),
    )
    stage = spec(
        "OpportunityStage",
        "01J",
        texts("MasterLabel", "ApiName", "Description"),
        flag("IsActive", default=True),
        flag("IsClosed"),
        flag("IsWon"),
        Field("SortOrder", "int"),
        Field("DefaultProbability", "percent"),
        pick("ForecastCategoryName", *FORECASTS),
        deleted=False,
        replicateable=False,
        writable=False,
    )
    return [line_item, role, history, stage]


def _products() -> list[Spec]:
    product = spec(
        "Product2",
        "01t",
        Field("Name", length=255, nillable=False),
        texts("ProductCode", "Family"),
        Field("Description", "textarea", 4000),
        flag("IsActive", default=True),
        children=[Child("PricebookEntries", "PricebookEntry", "Product2Id", cascade=True)],
    )
    entry = spec(
        "PricebookEntry",
        "01u",
        texts("Name", "ProductCode"),
        ref("Pricebook2Id", "Pricebook2", "Pricebook2"),
        ref("Product2Id", "Product2", "Product2", nillable=False),
        money("UnitPrice"),
        flag("IsActive", default=True),
        plural="PricebookEntries",
    )
    book = spec("Pricebook2", "01s", Field("Name", nillable=False), flag("IsActive", default=True), flag("IsStandard"))
    return [product, entry, book]


def _people() -> list[Spec]:
    user = spec(
        "User",
        "005",
        Field("Username", length=80, nillable=False),
        _person(),
        texts("Email", length=128, type="email"),
        texts("Title", "Department", length=80),
        texts("Alias", length=8),
        texts("TimeZoneSidKey", length=40),
        flag("IsActive", default=True),
        ref("ManagerId", "User"),
        deleted=False,
    )
    organization = spec(
        "Organization",
        "00D",
        texts("Name", length=80),
        texts("InstanceName", "OrganizationType", "DefaultLocaleSidKey", "TimeZoneSidKey", length=40),
        flag("IsSandbox"),
        deleted=False,
        replicateable=False,
        writable=False,
    )
    record_type = spec(
        "RecordType", "012", texts("Name", "DeveloperName", length=80), texts("SobjectType", length=40), flag("IsActive"), deleted=False
    )
    return [user, organization, record_type]


def standard_objects(*, multi_currency: bool) -> dict[str, Spec]:
    """Fresh specs by object name. `CurrencyIsoCode` exists in multi-currency orgs only."""
    specs = [_account(), _contact(), _opportunity(), *_deal_parts(), *_products(), *_people()]
    for each in specs:
        if multi_currency and each.writable and each.name not in {"User", "RecordType"}:
            each.add(pick("CurrencyIsoCode", "USD", "EUR", "GBP", "CNY", "JPY", restricted=True))
    opportunity = next(each for each in specs if each.name == "Opportunity")
    for custom in (
        Field("Handoff_Key__c", length=255, external_id=True),
        Field("Handoff_Project_URL__c", "url", 255),
        Field("Handoff_Status__c", length=255),
        Field("Handoff_Progress__c", "percent"),
    ):
        opportunity.add(custom)
    return {each.name: each for each in specs}
