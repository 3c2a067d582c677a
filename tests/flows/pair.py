"""Two CRMs and two tools in one configuration: two orgs of one vendor whose ids are equal, and two workspaces whose ids are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.pipeline import Summary
from tests.flows.files import ASANA, ONBOARDING, RULES, SALESFORCE
from tests.flows.world import World

FAR_CRM, FAR_TOOL = "http://south.test", "http://workshop.test"
SOURCES = RULES.replace("sources: [salesforce]", "sources: [salesforce, south]")
ROUTED = (
    SOURCES.replace("deal.amount >= 1000", 'deal.amount >= 1000 and deal.system == "salesforce"')
    + """
  - name: onboard-south
    on: [deal.won]
    when: deal.system == "south"
    do:
      - {create: onboarding, target: workshop}
"""
)
SOUTH = SALESFORCE.replace("http://salesforce.test", FAR_CRM)
WORKSHOP = ASANA.replace("http://asana.test", FAR_TOOL).replace("${TOKEN}", "${FAR_TOKEN}").replace("${WORKSPACE}", "${FAR_WORKSPACE}")
FILES = {
    "rules.yaml": ROUTED,
    "mappings/south.yaml": SOUTH,
    "mappings/workshop.yaml": WORKSHOP.replace("${TEAM}", "${FAR_TEAM}"),
    "mappings/blueprints/onboarding.yaml": ONBOARDING,
}


class Pair:
    """`near` holds the configuration and the state; of `far` only what stands behind its CRM and its tool is used.

    Deals won in the near CRM get a project in the near tool, those of the far one in the far one.
    """

    def __init__(self, path: Path, *, files: dict[str, str] | None = None) -> None:
        self.near = World(path, files={**FILES, **(files or {})})
        self.far = World(path / "far", clock=self.near.clock)
        self.near.hosts |= {FAR_CRM: self.far.crm, FAR_TOOL: self.far.tool}
        self.near.env |= {f"FAR_{name}": value for name, value in self.far.env.items()}
        self.sync, self.quiet = self.near.sync, self.near.quiet

    async def won(self) -> tuple[str, str]:
        """A deal on either side, known as open and won since; their ids are equal."""
        near, far = self.near.deal("Near deal"), self.far.deal("Far deal")
        await self.sync()
        self.near.win(near)
        self.far.win(far)
        return near, far

    def shown(self) -> tuple[list[str], list[str]]:
        return self.near.shown(), self.far.shown()

    def told(self, near: str, far: str) -> tuple[Any, Any]:
        """What the CRMs say of their projects."""
        return self._held("Handoff_Key__c", near, far)

    def progress(self, near: str, far: str) -> tuple[Any, Any]:
        return self._held("Handoff_Progress__c", near, far)

    def _held(self, field: str, near: str, far: str) -> tuple[Any, Any]:
        return self.near.org.get("Opportunity", near).get(field), self.far.org.get("Opportunity", far).get(field)

    def cursor(self, system: str) -> str | None:
        with self.near.store() as store:
            return store.cursor(system, "deal")


def failed(summary: Summary) -> dict[str, str]:
    """Which systems gave out, with the kind of error."""
    return {name: type(error).__name__ for name, error in summary.failures.items()}
