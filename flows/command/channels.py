"""`channels`: are people told?"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from connectors.base import ConfigError, ConnectorError, Runtime
from connectors.channels import Channel, Message
from engine.hints import suggest
from engine.model import Problem
from flows.command.common import Exit, Folder, Json, Screen, advice, loaded, where

telling = typer.Typer(no_args_is_help=True, help="Where people are told.")


@telling.callback()
def channels() -> None:
    """Where people are told."""


@telling.command("test")
def try_channel(
    name: Annotated[str, typer.Argument(help="One of `channels` in rules.yaml.", metavar="NAME")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Send a test message to a channel, and say what its service answered."""
    with advice(as_json):
        known = loaded(where(folder)).channels
        if name not in known:
            hint = suggest(name, list(known)) if known else "rules.yaml has no 'channels' section"
            raise ConfigError([Problem(f"there is no channel {name}", "rules.yaml", hint=hint)])
        asyncio.run(_send(name, known[name]))
        told = f"{name} ({known[name].kind}) took the message; see whether it is there."
        Screen(as_json).show(Text(told, style="green"), {"channel": name, "kind": known[name].kind, "exit_code": Exit.OK.value})


async def _send(name: str, channel: Channel) -> None:
    runtime = Runtime()
    async with channel.open(name, runtime) as ready:
        text = f"**Handoff** can reach this channel, `{name}`. Sent by hand at {runtime.clock():%Y-%m-%d %H:%M:%S} UTC. 你好！"
        try:
            await ready.send(Message(text))
        except ConnectorError as error:
            error.args = (f"{name}: {error.message}",)
            raise
