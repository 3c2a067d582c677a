"""The small world with people in it: rules that tell, channels on a stand-in, alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.notify import TOKEN, Services
from sandbox.web import Sandbox
from tests.flows.files import RULES
from tests.flows.world import World

HOST = "http://localhost:7001"
SECRET = "SEC-of-the-dingtalk-robot"
RULE = """
  - name: tell
    on: [deal.won]
    when: deal.amount is not none
    do:
      - notify: desk
        text: "**{{ deal.name }}** is won: {{ deal.amount | money(deal.currency) }}"
"""
AMOUNT = """
  - name: tell-amount
    on: [deal.amount_changed]
    do:
      - notify: desk
        text: "{{ deal.name }} is now worth {{ deal.amount }}"
"""
CHANNELS = f"""
channels:
  desk:
    slack: {{url: "{HOST}/slack/T1/B1/${{ROBOT}}"}}
  ops:
    dingtalk: {{url: "{HOST}/dingtalk/robot/send?access_token=${{ROBOT}}", secret: "${{DINGTALK}}"}}
"""
ALERTS = """
alerts:
  to: [ops]
  repeat_after_hours: 24
"""


class Telling(World):
    """`services` are what people are told by."""

    def __init__(self, path: Path, *, rules: str = RULES + RULE + CHANNELS, **more: Any) -> None:
        super().__init__(path, files={"rules.yaml": rules}, **more)
        self.services = Services(self.clock, dingtalk=SECRET)
        self.mouth = Sandbox(self.services, sleep=self.clock.sleep)
        self.hosts[HOST] = self.mouth
        self.env |= {"ROBOT": TOKEN, "DINGTALK": SECRET}

    @property
    def desk(self) -> list[str]:
        return self.services.texts("slack")

    @property
    def ops(self) -> list[str]:
        return self.services.texts("dingtalk")

    def rows(self) -> list[dict[str, Any]]:
        with self.store() as store:
            found = store.db.execute("SELECT key, channel, state, attempts, error, sent_at FROM notice ORDER BY at, key")
            return [dict(zip(("key", "channel", "state", "attempts", "error", "sent_at"), row, strict=True)) for row in found]

    async def begin(self, *deals: str) -> list[str]:
        """A world whose history is recorded, with some deals that are not won yet."""
        made = [self.deal(name) for name in deals or ("Big deal",)]
        await self.sync()
        self.clock.move(minutes=1)
        return made
