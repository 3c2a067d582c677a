"""A mail server on loopback that keeps what it is given: SMTP with STARTTLS and AUTH PLAIN, and ways to misbehave."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Literal

Where = Literal["", "connect", "rcpt", "data", "after data"]


@dataclass(slots=True)
class MailServer:
    """`kept` are the mails it answered for with 250, or would have. `refuses` maps a command to the answer it gets instead; `drops` is where the
    connection ends without a word, once; `stalls` where no answer ever comes.
    """

    users: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    kept: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    drops: Where = ""
    stalls: Where = ""
    commands: list[str] = field(default_factory=list)


class _Dropped(Exception):
    """The connection ends here."""


class _Dialogue:
    """One connection."""

    def __init__(self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._encrypted = False
        self._user = ""
        self._to: list[str] = []

    async def run(self) -> None:
        await self._at("connect")
        await self._say("220 loopback ESMTP")
        while line := await self._reader.readline():
            command = line.decode("utf-8", "replace").strip()
            verb = command.split(" ", 1)[0].split(":")[0].upper()
            self._server.commands.append(verb)
            if verb in self._server.refuses:
                await self._say(self._server.refuses[verb])
            elif not await self._do(verb, command):
                return

    async def _do(self, verb: str, command: str) -> bool:
        match verb:
            case "EHLO":
                extensions = ["loopback", "8BITMIME"]
                extensions += ["STARTTLS"] if self._server.tls and not self._encrypted else []
                extensions += ["AUTH PLAIN"] if self._server.users else []
                await self._say(*(f"250{'-' if one != extensions[-1] else ' '}{one}" for one in extensions))
            case "STARTTLS" if self._server.tls:
                await self._say("220 go ahead")
                await self._writer.start_tls(self._server.tls)
                self._encrypted = True
            case "AUTH":
                await self._auth(command.rsplit(" ", maxsplit=1)[-1])
            case "MAIL" | "RCPT" if self._server.users and not self._user:
                await self._say("530 5.7.0 log in first")
            case "MAIL":
                await self._say("250 ok")
            case "RCPT":
                await self._at("rcpt")
                self._to.append(command.split("<")[1].split(">", maxsplit=1)[0])
                await self._say("250 ok")
            case "DATA":
                await self._at("data")
                await self._data()
            case "QUIT":
                await self._say("221 bye")
                return False
            case _:
                await self._say("250 ok" if verb in {"RSET", "NOOP"} else "502 5.5.1 not here")
        return True

    async def _auth(self, word: str) -> None:
        _, user, password = base64.b64decode(word).decode().split("\0")
        if self._server.users.get(user) != password:
            await self._say("535 5.7.8 wrong user or password")
            return
        self._user = user
        await self._say("235 welcome")

    async def _data(self) -> None:
        await self._say("354 go on")
        lines: list[bytes] = []
        while (line := await self._reader.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        self._server.kept.append(message_from_bytes(b"".join(lines), policy=default))
        self._server.recipients.append(self._to)
        self._to = []
        await self._at("after data")
        await self._say("250 kept")

    async def _at(self, where: Where) -> None:
        if self._server.drops == where:
            self._server.drops = ""
            raise _Dropped
        if self._server.stalls == where:
            await self._reader.read()  # until the other side gives up
            raise _Dropped

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()


@asynccontextmanager
async def serve_mail(server: MailServer) -> AsyncIterator[int]:
    """The server on loopback; gives its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(_Dropped, ConnectionError, ssl.SSLError):
            await _Dialogue(server, reader, writer).run()
        with suppress(ConnectionError, ssl.SSLError):
            writer.close()
            await writer.wait_closed()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
