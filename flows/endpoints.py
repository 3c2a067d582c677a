"""Where systems push to. Addresses and the secrets in them are made from one secret of the hub's, so that nothing of them has to be kept.

What a system itself gives at a handshake is kept encrypted with that secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from connectors.base import ConfigError, StateError
from connectors.push import Endpoint
from engine.model import CrmKind, Problem
from flows.configuration import Loaded
from flows.settings import Settings

PREFIX = "/hooks"
_LEAST = 32


class Endpoints:
    """Addresses below `url`, the hub's as systems reach it. `secret` is the hub's, 32 characters and more."""

    def __init__(self, secret: str, url: str) -> None:
        self._secret = secret.encode()
        self.url = url.rstrip("/")
        self._box = Fernet(base64.urlsafe_b64encode(self._derived("box")))

    def path(self, name: str, resource: str = "") -> str:
        """The path of a system's endpoint, with its unguessable part; one of its own for each resource."""
        return f"{PREFIX}/{name}/{self._word(f'path:{name}:{resource}', 26)}{f'/{resource}' if resource else ''}"

    def endpoint(
        self, name: str, objects: Mapping[str, CrmKind], *, resource: str = "", sealed: str = "", awaited: bool = False
    ) -> Endpoint:
        """A system's endpoint. `sealed` is its handshake's secret as it was kept; one of another hub's secret counts as none."""
        url = f"{self.url}{self.path(name, resource)}"
        return Endpoint(name, url, self._word(f"token:{name}", 40), objects, resource, self._opened(sealed), awaited)

    def seal(self, secret: str) -> str:
        """A handshake's secret as it may be kept."""
        return self._box.encrypt(secret.encode()).decode()

    def derive(self, purpose: str) -> bytes:
        """32 bytes for some other purpose of the hub's: signing cookies, for one."""
        return self._derived(f"for:{purpose}")

    def _opened(self, sealed: str) -> str:
        try:
            return self._box.decrypt(sealed.encode()).decode() if sealed else ""
        except InvalidToken:
            return ""

    def _word(self, purpose: str, length: int) -> str:
        return base64.b32encode(self._derived(purpose)).decode().lower().rstrip("=")[:length]

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)


def endpoints(where: Settings) -> Endpoints:
    """As configured: HANDOFF_HUB_URL and HANDOFF_HUB_SECRET; without the latter, a secret is made once and kept in a file beside the state."""
    return Endpoints(hub_secret(where), where.hub_url)


def hub_secret(where: Settings) -> str:
    """Raises ConfigError for one that is too short, StateError where none can be kept."""
    if given := where.env.get("HANDOFF_HUB_SECRET"):
        if len(given) < _LEAST:
            raise ConfigError([Problem("HANDOFF_HUB_SECRET is too short", hint=f"at least {_LEAST} characters: openssl rand -hex 32")])
        return given
    return _kept(where.data / "hub.secret")


def _kept(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        if not path.exists():
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(32), encoding="ascii")
            try:
                os.link(fresh, path)  # whoever comes first has made it
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StateError(f"cannot keep the hub's secret in {path} ({error.strerror}); set HANDOFF_HUB_SECRET") from error


def objects(loaded: Loaded, name: str) -> dict[str, CrmKind]:
    """The objects of a CRM that are read, by the CRM's names."""
    return {spec.object: kind for kind, spec in loaded.configuration.mappings[name].read.items()}
