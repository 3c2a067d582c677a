"""One access token for all processes of a connection, in a file that only its owner may read.

Zoho gives ten access tokens in ten minutes for one refresh token, and keeps no more than thirty alive
(https://www.zoho.com/accounts/protocol/oauth/token-limits.html), so the file remembers when tokens were asked for, too.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.base import AuthError, Runtime, Transient
from connectors.zoho.errors import SYSTEM

PATIENCE = 60.0  # seconds to wait for another process that is asking for a token


@dataclass(frozen=True, slots=True)
class Token:
    """`api` is the address the token's answer named; `ends` a time stamp in seconds."""

    text: str
    api: str
    ends: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a connection's tokens: the newest, and when each of the last ten minutes was asked for."""

    token: Token | None = None
    asked: tuple[float, ...] = ()


class Memory:
    """Shared with nobody: what a connection without a token_file keeps."""

    def __init__(self) -> None:
        self._kept = Kept()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._lock:
            yield

    def read(self) -> Kept:
        return self._kept

    def write(self, kept: Kept) -> None:
        self._kept = kept


class TokenFile:
    """Shared by every process that names the same file. `whose` tells a token of another client or refresh token from ours."""

    def __init__(self, path: Path, whose: str, runtime: Runtime) -> None:
        self._path = path
        self._whose = whose
        self._runtime = runtime

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nobody else reads or asks for a token meanwhile. The lock goes away with its process."""
        lock = self._open()
        try:
            await self._wait_for(lock)
            yield
        finally:
            os.close(lock)

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as failure:
            raise self._unusable(failure) from failure

    async def _wait_for(self, lock: int) -> None:
        waited = 0.0
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                if waited >= PATIENCE:
                    raise Transient(f"another process has held {self._path.name} for {waited:.0f} seconds", system=SYSTEM) from held
            await self._runtime.sleep(0.1)
            waited += 0.1

    def read(self) -> Kept:
        """Nothing when the file is missing, broken, or of another client."""
        try:
            held = json.loads(self._path.read_text())
            return _kept(held) if held["whose"] == self._whose else Kept()
        except (OSError, ValueError, KeyError, TypeError):
            return Kept()

    def write(self, kept: Kept) -> None:
        """Replaces the file in one step, readable by its owner only. Raises AuthError when that is not possible."""
        token = {"text": kept.token.text, "api": kept.token.api, "ends": kept.token.ends} if kept.token else None
        text, scratch = json.dumps({"whose": self._whose, "token": token, "asked": kept.asked}), ""
        try:
            handle, scratch = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            with os.fdopen(handle, "w") as file:
                file.write(text)
            Path(scratch).replace(self._path)
        except OSError as failure:
            with suppress(OSError):
                Path(scratch).unlink()
            raise self._unusable(failure) from failure

    def _unusable(self, failure: OSError) -> AuthError:
        return AuthError(f"the token cannot be kept in {self._path} ({failure.strerror}); make its folder writable", system=SYSTEM)


def _kept(held: Mapping[str, object]) -> Kept:
    token, asked = held["token"], held["asked"]
    if not isinstance(asked, list):
        raise TypeError
    found = Token(str(token["text"]), str(token["api"]), float(token["ends"])) if isinstance(token, dict) else None
    return Kept(found, tuple(float(each) for each in asked))


def seconds(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp()
