"""The stand-ins, which share no code with the connectors, push over TCP to what understands them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from connectors.asana import push as asana
from connectors.push import TOOL, Delivery, Endpoint, Received, Refused
from connectors.salesforce import push as salesforce
from engine.model import Hint
from sandbox.web import Reply, Request, Sandbox, serve
from tests.sandbox import asana_rig, salesforce_rig
from tests.sandbox.receiver import Receiver


class Listener:
    """Answers as `receive` says, and keeps what it took and why it did not."""

    def __init__(self, receive: Callable[[Delivery], Received]) -> None:
        self.took: list[Received] = []
        self.refused: list[str] = []
        self._receive = receive

    def __call__(self, request: Request) -> Reply:
        try:
            got = self._receive(Delivery(request.method, request.path, {}, request.headers, request.body, datetime.now(UTC)))
        except Refused as refused:
            self.refused.append(refused.reason)
            return Reply(refused.status)
        self.took.append(got)
        return Reply(got.status, got.body, {**got.headers, "content-type": got.content_type})


async def test_salesforce_takes_the_acknowledgement_for_one() -> None:
    rig = salesforce_rig.Rig()
    place = Endpoint("salesforce", "", "", {"Opportunity": "deal"})
    listener = Listener(lambda told: salesforce.receive(salesforce.Settings(organization=rig.org.id), place, told))
    async with serve(Sandbox(Receiver(listener))) as address:
        rig.sf.push_to(f"{address}/hook", objects=("Opportunity", "Account"), fields=("Name",))
        deals = [rig.deal(f"Smith & <Sons> {n}") for n in range(101)]
        rig.org.insert("Account", {"Name": "Acme"})
        await rig.sf.sender.deliver()
        rig.wait(hours=3)
        assert await rig.sf.sender.deliver() == 0  # nothing comes again
    assert sorted(each.events for each in listener.took) == [1, 1, 100]
    assert {hint for each in listener.took for hint in each.hints} == {Hint("deal", deal) for deal in deals}
    assert listener.refused == []


async def test_asana_shakes_hands_once_and_signs_with_what_it_gave() -> None:
    rig = asana_rig.Rig()
    project, secret = await rig.project(), ""

    def receive(told: Delivery) -> Received:
        nonlocal secret
        got = asana.receive(asana.Settings(), Endpoint("asana", "", "", {}, project, secret, awaited=not secret), told)
        secret = secret or got.handshake
        return got

    listener = Listener(receive)
    async with serve(Sandbox(Receiver(listener))) as address:
        made = await rig.ask("POST", "/webhooks", {"resource": project, "target": f"{address}/one"})
        await rig.app.sender.deliver()
        await rig.ask("POST", "/tasks", {"name": "Kick-off", "projects": [project]})
        await rig.app.sender.deliver()
        another = await rig.ask("POST", "/webhooks", {"resource": project, "target": f"{address}/two"})
    assert (made.status, made.body["X-Hook-Secret"]) == (201, secret)
    assert [each.hints for each in listener.took] == [(), (), (TOOL,)]  # the handshake, the sign of life, the task
    assert (another.status >= 400, listener.refused) == (True, ["unexpected"])
