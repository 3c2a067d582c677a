"""The configuration as a whole: every problem of every file at once, each at its line and column."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from engine.check import Configuration, check
from engine.document import parse
from engine.expressions import compile_condition

RULES = """\
version: 1
sources: [salesforce]
timezone: Europe/Berlin
calendar: DE
currencies:
  base: EUR
  rates: {USD: 0.92}
rules:
  - name: onboard
    on: [deal.won]
    when: deal.amount | convert(deal.currency, "EUR") >= 10000
    do:
      - create: onboarding
        target: asana
  - name: tell
    on: [deal.lost]
    do:
      - comment: "Lost: {{ deal.stage }}"
        on: onboarding/kickoff
      - set_status: on_hold
        on: onboarding
"""
SALESFORCE = """\
version: 1
system: salesforce
connection: {}
read:
  customer:
    object: Account
    fields:
      name: Name
      tier: {field: Tier__c, values: {VIP: vip}, default: standard}
    custom:
      region: Region__c
  deal:
    object: Opportunity
    fields:
      name: Name
      status: {won: IsWon, closed: IsClosed}
      owner.email: Owner.Email
    custom:
      go_live: Go_Live__c
    children:
      line_items:
        object: OpportunityLineItem
        fields:
          id: Id
          product: Product2.Name
"""
ASANA = """\
version: 1
system: asana
connection: {}
people:
  overrides: {a@crm.example: a@tool.example}
  roles:
    manager: "{{ deal.owner.email if deal.owner else '' }}"
    finance: finance@tool.example
  fallback: desk@tool.example
fields:
  region: {custom_field: Region}
"""
BLUEPRINT = """\
version: 1
name: onboarding
anchor: event + 0 working days
project:
  name: "{{ customer.name }}"
  owner: manager
  due: last due
  custom: {region: "{{ customer.custom.region }}"}
sections:
  - slot: launch
    name: Launch
    tasks:
      - slot: kickoff
        name: Kickoff
        assignee: manager
        due: anchor + 3 working days
      - slot: service
        name: "Set up {{ item.product }}"
        for: item in deal.line_items
        after: [kickoff]
        start: after kickoff
        due: start + 2 days
        subtasks:
          - slot: test
            name: "Test {{ item.product }}"
            when: item.product != ""
            due: deal.custom.go_live - 1 week
"""


def examine(
    rules: str = RULES, salesforce: str = SALESFORCE, asana: str = ASANA, blueprint: str = BLUEPRINT
) -> tuple[Configuration | None, list[str]]:
    mappings = {"salesforce": parse(salesforce, "salesforce.yaml"), "asana": parse(asana, "asana.yaml")}
    blueprints = {"onboarding": parse(blueprint, "onboarding.yaml")}
    configuration, problems = check(parse(rules, "rules.yaml"), mappings, blueprints)
    assert (configuration is None) == bool(problems)
    return configuration, [str(problem) for problem in problems]


def good(**files: str) -> Configuration:
    configuration, problems = examine(**files)
    assert problems == []
    assert configuration is not None
    return configuration


def test_a_good_configuration_has_no_problem_and_no_warning() -> None:
    configuration = good()
    assert configuration.warnings == ()
    assert configuration.rules.rules[0].name == "onboard"
    assert configuration.calendar("onboarding").name == "DE"
    assert configuration.zone("onboarding").key == "Europe/Berlin"
    assert configuration.place(1) == "rules.yaml:15"


def test_the_scope_knows_custom_fields_rates_and_what_is_before() -> None:
    scope = good().scope("deal")
    assert scope.rates == {"EUR": Decimal(1), "USD": Decimal("0.92")}
    for text in ("deal.custom.go_live is none", "before.stage != deal.stage", "event.name == 'deal.won'", "customer.custom.region == 'x'"):
        compile_condition(text, scope)


def test_a_source_that_is_misspelt_is_one_mistake() -> None:
    _, problems = examine(rules=RULES.replace("sources: [salesforce]", "sources: [salesforc]"))
    assert len(problems) == 1


def test_a_constant_condition_is_fine() -> None:
    good(rules=RULES.replace('deal.amount | convert(deal.currency, "EUR") >= 10000', "true"))


RULE_CASES = [
    ("name: tell", "name: onboard", "15:11: the rule name onboard is taken already, on line 9"),
    ("sources: [salesforce]", "sources: [salesforc]", "2:11: unknown source salesforc (did you mean salesforce?"),
    ("sources: [salesforce]", "sources: [asana]", "2:11: mappings/asana.yaml reads nothing"),
    ("Europe/Berlin", "Europe/Berlinn", "3:11: unknown time zone Europe/Berlinn (did you mean Europe/Berlin?)"),
    ("Europe/Berlin", "../../etc/passwd", "3:11: unknown time zone ../../etc/passwd"),
    ("calendar: DE", "calendar: de", "4:11: unknown calendar de (did you mean DE?)"),
    ("base: EUR", "base: eur", "6:9: eur is not a currency code"),
    ("USD: 0.92", "USD: 0", "7:16: the rate of USD has to be above zero"),
    ("USD: 0.92", "usd: 0.92", "7:11: usd is not a currency code"),
    ("deal.won", "feedback.created", "10:10: no source reads a feedback"),
    ("deal.won", "customer.created", "11:11: unknown name deal (allowed: before, customer, event)"),
    ("deal.amount |", "deal.amuont |", "11:16: unknown field deal.amuont (did you mean amount?"),
    ('"EUR") >=', '"EURO") >=', "11:49: there is no exchange rate for EURO (did you mean EUR?"),
    (">= 10000", ">= '10000'", "11:16: deal.amount | convert(deal.currency, 'EUR') is a number, '10000' is text"),
    ("create: onboarding", "create: onbording", "13:17: unknown blueprint onbording (did you mean onboarding?"),
    ("target: asana", "target: asanna", "14:17: unknown target asanna (did you mean asana?"),
    ("deal.stage }}", "deal.stge }}", "18:33: unknown field deal.stge (did you mean stage?"),
    ("onboarding/kickoff", "onboarding/kickof", "19:13: onboarding has no slot kickof (did you mean kickoff?)"),
    ("on: onboarding\n", "on: onbaording\n", "21:13: unknown blueprint onbaording (did you mean onboarding?"),
]


@pytest.mark.parametrize(("old", "new", "expected"), RULE_CASES)
def test_what_is_wrong_in_the_rules_is_told_at_its_place(old: str, new: str, expected: str) -> None:
    assert old in RULES
    _, problems = examine(rules=RULES.replace(old, new, 1))
    assert any(problem.startswith(f"rules.yaml:{expected}") for problem in problems), problems


def test_a_blueprint_of_another_kind_is_refused() -> None:
    _, problems = examine(blueprint=BLUEPRINT.replace("name: onboarding\n", "name: onboarding\nfor: customer\n"))
    assert "rules.yaml:13:17: onboarding is made from a customer, but the rule wakes for a deal" in problems


MAPPING_CASES = [
    ("tier: {field", "teir: {field", "9:7: unknown field of ours teir (did you mean tier?"),
    ("owner.email:", "owner.mail:", "17:7: unknown field of ours owner.mail (did you mean owner.email?"),
    ("status: {won: IsWon, closed: IsClosed}", "status: Stage", "16:15: a status is made of the flags won and closed"),
    (
        "status: {won: IsWon, closed: IsClosed}",
        "status: {field: Stage, values: {Won: wonn}}",
        "16:44: unknown status wonn (did you mean won?; allowed: lost, open, won)",
    ),
    ("go_live:", "go-live:", "19:7: the name go-live cannot be used in expressions"),
    ("line_items:", "contacts:", "25:11: unknown field of ours product"),
    ("          id: Id\n", "", "24:11: missing field id (every row needs one)"),
    ("name: Name\n      tier", "name: {won: A, closed: B}\n      tier", "8:13: won and closed make a deal's status, not name"),
]


@pytest.mark.parametrize(("old", "new", "expected"), MAPPING_CASES)
def test_what_is_wrong_in_a_source_mapping_is_told_at_its_place(old: str, new: str, expected: str) -> None:
    assert old in SALESFORCE
    _, problems = examine(salesforce=SALESFORCE.replace(old, new, 1))
    assert any(problem.startswith(f"salesforce.yaml:{expected}") for problem in problems), problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a@tool.example", "a at tool", "5:30: 'a at tool' is not an e-mail address"),
        ("a@crm.example:", "a-crm:", "5:15: 'a-crm' is not an e-mail address"),
        ("desk@tool.example", "desk", "9:13: 'desk' is not an e-mail address"),
        ("finance@tool.example", "finance", "8:14: 'finance' is not an e-mail address"),
        ("deal.owner.email if", "deal.owner.mail if", "7:29: unknown field deal.owner.mail (did you mean email?"),
    ],
)
def test_what_is_wrong_in_a_target_mapping_is_told_at_its_place(old: str, new: str, expected: str) -> None:
    _, problems = examine(asana=ASANA.replace(old, new, 1))
    assert any(problem.startswith(f"asana.yaml:{expected}") for problem in problems), problems


BLUEPRINT_CASES = [
    ("name: onboarding\n", "name: other\n", "2:7: the name other is not that of the file (write onboarding, or rename the file)"),
    ("anchor: event", "anchor: kickoff.due", "3:9: unknown slot kickoff"),
    ("anchor: event", "anchor: anchor", "3:9: 'anchor' has no meaning here"),
    ("owner: manager", "owner: manger", "6:10: unknown role manger (did you mean manager?; allowed: finance, manager)"),
    ("custom: {region:", "custom: {regoin:", "8:12: unknown custom field regoin (did you mean region?"),
    ("customer.custom.region", "customer.custom.regoin", "8:40: unknown field customer.custom.regoin (did you mean region?"),
    ("slot: service", "slot: kickoff", "17:15: the slot kickoff is taken already, on line 13"),
    ("slot: service", "slot: launch", "17:15: the slot launch is taken already, on line 10"),
    ("deal.line_items", "deal.line_itms", "19:22: deal.line_itms is not a list (lists: deal.contacts, deal.line_items"),
    ("[kickoff]", "[kickof]", "20:17: unknown slot kickof (did you mean kickoff?"),
    ("[kickoff]", "[service]", "20:17: service cannot wait for itself"),
    ("start: after kickoff", "start: after kickof", "21:22: unknown slot kickof (did you mean kickoff?)"),
    ("anchor + 3 working days", "start + 3 working days", "16:14: 'start' has no meaning here"),
    (
        '{{ item.product }}"\n            when',
        '{{ item.prodct }}"\n            when',
        "25:33: unknown field item.prodct (did you mean product?",
    ),
    ('item.product != ""', "item.prodct", "26:24: unknown field item.prodct (did you mean product?"),
    ("deal.custom.go_live -", "deal.custom.golive -", "27:18: unknown date deal.custom.golive (did you mean deal.custom.go_live?"),
    ("anchor + 3 working days", "test.due", None),
]


@pytest.mark.parametrize(("old", "new", "expected"), BLUEPRINT_CASES)
def test_what_is_wrong_in_a_blueprint_is_told_at_its_place(old: str, new: str, expected: str | None) -> None:
    assert old in BLUEPRINT
    _, problems = examine(blueprint=BLUEPRINT.replace(old, new, 1))
    if expected is None:
        assert problems == []
    else:
        assert any(problem.startswith(f"onboarding.yaml:{expected}") for problem in problems), problems


def test_a_circle_of_waiting_tasks_is_named() -> None:
    text = BLUEPRINT.replace("        assignee: manager\n", "        after: [test]\n").replace(
        "when: item", "after: [service]\n            when: item"
    )
    _, problems = examine(blueprint=text)
    assert len(problems) == 1
    assert problems[0].startswith("onboarding.yaml:15:16: tasks wait for each other in a circle: kickoff → ")
    assert problems[0].endswith("→ kickoff")


def test_a_circle_of_dates_is_named() -> None:
    _, problems = examine(blueprint=BLUEPRINT.replace("anchor + 3 working days", "service.due - 1 day"))
    assert len(problems) == 1
    assert problems[0].startswith("onboarding.yaml:16:14: dates count for each other in a circle: kickoff.due → ")


def test_a_value_that_a_mapping_never_gives_is_refused() -> None:
    _, problems = examine(rules=RULES.replace(">= 10000", ">= 10000 and customer.tier == 'VIP'"))
    assert problems == ["rules.yaml:11:86: customer.tier is never 'VIP' (did you mean vip?; allowed: standard, vip)"]


def test_problems_of_all_files_come_at_once_in_the_order_of_each_file() -> None:
    _, problems = examine(
        rules=RULES.replace("calendar: DE", "calendar: XX").replace("target: asana", "target: nowhere"),
        salesforce=SALESFORCE.replace("object: Account", "objct: Account"),
        blueprint=BLUEPRINT.replace("owner: manager", "owner: nobody"),
    )
    assert [problem.split(": ")[0] for problem in problems] == [
        "rules.yaml:4:11",
        "rules.yaml:14:17",
        "salesforce.yaml:6:5",
        "onboarding.yaml:6:10",
    ]


def test_a_blueprint_no_rule_uses_is_a_warning() -> None:
    documents = {name: parse(BLUEPRINT.replace("onboarding", name), f"{name}.yaml") for name in ("onboarding", "spare")}
    mappings = {"salesforce": parse(SALESFORCE, "salesforce.yaml"), "asana": parse(ASANA, "asana.yaml")}
    configuration, problems = check(parse(RULES, "rules.yaml"), mappings, documents)
    assert problems == []
    assert configuration is not None
    assert [str(warning) for warning in configuration.warnings] == ["spare.yaml:2:7: no rule uses the blueprint spare"]


def test_a_thousand_tasks_are_checked_in_reasonable_time() -> None:
    task = '      - slot: t{n}\n        name: "Task {n} for {{{{ customer.name }}}}"\n        after: [t{m}]\n        due: t{m}.due + 1 working day\n'
    head = BLUEPRINT[: BLUEPRINT.index("      - slot: service")]
    text = head + "".join(task.format(n=n, m=n - 1) for n in range(1, 1001)).replace("t0", "kickoff")
    started = time.perf_counter()
    configuration = good(blueprint=text)
    assert time.perf_counter() - started < 10
    assert len(configuration.blueprints["onboarding"].sections[0].tasks) == 1001


def test_a_broken_rule_does_not_hide_what_is_wrong_in_other_conditions() -> None:
    text = """
version: 1
sources: [salesforce]
rules:
  - name: broken
    on: [deal.won]
    doo: []
  - name: misspelt
    on: [deal.won]
    when: deal.stauts == "won"
    do: [{ create: customer-onboarding, target: asana }]
"""
    _, problems = check(parse(text, "rules.yaml"), {}, {})
    told = [(problem.line, problem.message) for problem in problems if problem.file == "rules.yaml"]
    assert any(line == 7 and "doo" in message for line, message in told)
    assert any(line == 10 and "stauts" in message for line, message in told)
