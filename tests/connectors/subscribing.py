"""A hub for those who subscribe: it gives endpoints, and takes the handshakes it awaits."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.push import Endpoint
from engine.model import CrmKind
from sandbox.web import Reply, Request
from tests.sandbox.receiver import Receiver

TOKEN = "tokenofours234567tokenofours234567tokeno"


class Hub(Receiver):
    """`word` is the unguessable part of its addresses, `awaited` whose handshake it takes, `secrets` what it was given."""

    def __init__(self, name: str, objects: Mapping[str, CrmKind] | None = None) -> None:
        super().__init__(self._shaken)
        self.name, self.objects, self.url, self.word = name, objects or {}, "https://hub.example.com", "unguessable"
        self.secrets: dict[str, str] = {}
        self.awaited: list[str] = []

    async def place(self, resource: str = "", *, awaited: bool = False) -> Endpoint:
        if awaited:
            self.awaited.append(resource)
        url = f"{self.url}/hooks/{self.name}/{self.word}" + (f"/{resource}" if resource else "")
        return Endpoint(self.name, url, TOKEN, self.objects, resource, self.secrets.get(resource, ""), awaited)

    def lose(self) -> None:
        """Another secret of the hub's: other addresses, and what was kept can no longer be read."""
        self.word = "another"
        self.secrets.clear()

    def _shaken(self, request: Request) -> Reply:
        secret, resource = request.headers.get("x-hook-secret"), request.path.rpartition("/")[2]
        if secret is None:
            return Reply(200)
        if resource not in self.awaited:
            return Reply(403)
        self.secrets[resource] = secret
        return Reply(200, headers={"X-Hook-Secret": secret})
