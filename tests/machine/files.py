"""The configuration of the machine's world."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from flows.configuration import Loaded, load

PROJECTS_PER_RUN = 3
RULES = f"""
version: 1
sources: [crm]
timezone: UTC
limits: {{projects_per_run: {PROJECTS_PER_RUN}, updates_per_run: 500}}
rules:
  - name: onboard
    on: [deal.won]
    do:
      - create: onboarding
        target: tool
  - name: amount
    on: [deal.amount_changed]
    do:
      - comment: "Now worth {{{{ deal.amount }}}}"
        on: onboarding/kickoff
"""
CRM = """
version: 1
system: crm
connection: {}
read:
  deal:
    object: Deal
    fields: {name: Name, stage: Stage, status: {won: Won, closed: Closed}, amount: Amount}
    children:
      line_items: {object: Line, fields: {id: Id, description: Text}}
write_back:
  deal: {project_url: Url, project_status: Status, project_key: Key}
"""
TOOL = """
version: 1
system: tool
connection: {}
"""
ONBOARDING = """
version: 1
name: onboarding
project:
  name: "{{ deal.name }} onboarding"
  notes: "Deal {{ deal.name }}"
sections:
  - slot: begin
    name: Begin
    tasks:
      - slot: kickoff
        name: "Kick off {{ deal.name }}"
        subtasks:
          - slot: agenda
            name: Agenda
      - slot: line
        name: "Deliver {{ item.description }}"
        for: item in deal.line_items
        after: [kickoff]
keep:
  project: {name: in_step, notes: in_step}
  task: {name: in_step}
"""
FILES = {"rules.yaml": RULES, "mappings/crm.yaml": CRM, "mappings/tool.yaml": TOOL, "mappings/blueprints/onboarding.yaml": ONBOARDING}


@cache
def loaded() -> Loaded:
    """Read once. Nothing is connected by it: the machine brings its own source and target."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return load(Path(folder), {}, connect=False)
