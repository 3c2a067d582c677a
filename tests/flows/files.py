"""The configuration of the small world, from strings."""

from __future__ import annotations

from pathlib import Path

RULES = """
version: 1
sources: [salesforce]
timezone: UTC
limits: {projects_per_run: 10, updates_per_run: 50}
rules:
  - name: onboard
    on: [deal.won]
    when: deal.amount is not none and deal.amount >= 1000
    do:
      - create: onboarding
        target: asana
  - name: amount
    on: [deal.amount_changed]
    when: deal.status == "won"
    do:
      - comment: "Now worth {{ deal.amount }}"
        on: onboarding/kickoff
  - name: open-again
    on: [deal.reopened]
    do:
      - set_status: at_risk
        on: onboarding
        text: "Open again"
  - name: vip
    on: [customer.tier_changed]
    when: customer.tier == "VIP"
    do:
      - create: review
        target: asana
"""

SALESFORCE = """
version: 1
system: salesforce
connection:
  login_url: http://salesforce.test
  client_id: handoff-client
  client_secret: handoff-secret
read:
  customer:
    object: Account
    fields: {name: Name, tier: Tier__c, description: Description}
  deal:
    object: Opportunity
    fields:
      name: Name
      stage: StageName
      status: {won: IsWon, closed: IsClosed}
      amount: Amount
      currency: CurrencyIsoCode
      close_date: CloseDate
      next_step: NextStep
      description: Description
      owner.id: Owner.Id
      owner.email: Owner.Email
      customer_id: AccountId
    children:
      line_items:
        object: OpportunityLineItem
        fields: {id: Id, description: Description}
      stage_history:
        object: OpportunityHistory
        fields: {stage: StageName, at: CreatedDate}
write_back:
  deal:
    project_url: Handoff_Project_URL__c
    project_status: Handoff_Status__c
    progress: Handoff_Progress__c
    project_key: Handoff_Key__c
"""

ASANA = """
version: 1
system: asana
connection:
  base_url: http://asana.test/api/1.0
  token: ${TOKEN}
  workspace: "${WORKSPACE}"
  team: "${TEAM}"
people:
  roles: {manager: mia.manager@example.com}
fields:
  value: {custom_field: Value}
"""

ONBOARDING = """
version: 1
name: onboarding
project:
  name: "{{ deal.name }} onboarding"
  owner: manager
  start: anchor
  due: last due
  notes: "Deal {{ deal.name }}, next: {{ deal.next_step or 'nothing' }}, for {{ customer.name if customer else 'nobody' }}"
  custom: {value: "{{ deal.amount }}"}
sections:
  - slot: begin
    name: Begin
    tasks:
      - slot: kickoff
        name: "Kick off {{ deal.name }}"
        notes: "Worth {{ deal.amount }}"
        assignee: manager
        due: anchor + 2 working days
        subtasks:
          - slot: agenda
            name: Agenda
      - slot: scope
        name: Scope
        after: [kickoff]
        start: after kickoff
        due: start + 3 working days
  - slot: deliver
    name: Deliver
    tasks:
      - slot: line
        name: "Deliver {{ item.description }}"
        for: item in deal.line_items
        after: [scope]
      - slot: done
        name: Done
        milestone: true
        due: after scope
        after: [scope]
keep:
  project: {name: crm, notes: in_step, custom: in_step}
  task: {name: in_step, notes: crm}
"""

REVIEW = """
version: 1
name: review
for: customer
project:
  name: "{{ customer.name }} review"
  owner: manager
  notes: "VIP since {{ event.at | date('%d %B %Y') }}: {{ customer.description }}"
sections:
  - slot: know
    name: Know
    tasks:
      - slot: history
        name: History
"""

FILES = {
    "rules.yaml": RULES,
    "mappings/salesforce.yaml": SALESFORCE,
    "mappings/asana.yaml": ASANA,
    "mappings/blueprints/onboarding.yaml": ONBOARDING,
    "mappings/blueprints/review.yaml": REVIEW,
}


def write_files(folder: Path, changed: dict[str, str]) -> None:
    """The shipped files of the small world, some of them changed."""
    for name, text in {**FILES, **changed}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
