"""`access`: who may look at the hub's pages, and who may approve."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from connectors.base import ConfigError, utc_now
from engine.model import Problem
from flows.command.common import Folder, Json, Screen, StateFile, advice, home
from flows.settings import Settings
from state.hub import open_hub
from state.tokens import Token, Tokens

access = typer.Typer(no_args_is_help=True, help="Who may look at the hub, and who may approve: tokens.")


class As(StrEnum):
    READER = "reader"
    APPROVER = "approver"


@access.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: a person or a program.")],
    role: Annotated[As, typer.Option("--role", help="A reader looks, an approver decides as well.")] = As.READER,
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown once; only its hash is kept."""
    with advice(as_json), _tokens(home(folder, state)) as tokens:
        named = name.strip()
        if not named or len(named) > 100 or not named.isprintable():
            raise ConfigError([Problem("a token needs a name, of up to 100 characters")])
        secret = f"handoff_{secrets.token_urlsafe(32)}"
        tokens.add(named, role.value, secret, utc_now())
        shown = Group(Text(secret, style="bold"), Text(f"for {named}, {role.value}. It is not shown again.", style="dim"))
        Screen(as_json).show(shown, {"name": named, "role": role.value, "token": secret})


@access.command("list")
def list_(folder: Folder = None, state: StateFile = None, as_json: Json = False) -> None:
    """Whose tokens there are."""
    with advice(as_json), _tokens(home(folder, state)) as tokens:
        found = tokens.all()
        lines = [_line(one) for one in found] or [Text("None yet; `handoff access add NAME` makes one.", style="dim")]
        listed = [{"name": one.name, "role": one.role, "created_at": one.created_at, "used_at": one.used_at} for one in found]
        Screen(as_json).show(Group(*lines), listed)


@access.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token.")],
    folder: Folder = None,
    state: StateFile = None,
    as_json: Json = False,
) -> None:
    """Take a token away; whoever is signed in with it is out at once."""
    with advice(as_json), _tokens(home(folder, state)) as tokens:
        if not tokens.remove(name):
            raise ConfigError([Problem(f"there is no token {name}", hint="`handoff access list` shows them")])
        Screen(as_json).show(Text(f"{name}'s token is good for nothing any more."), {"name": name, "removed": True})


@contextmanager
def _tokens(there: Settings) -> Iterator[Tokens]:
    with closing(open_hub(there.state, now=utc_now())) as db:
        yield Tokens(db)


def _line(token: Token) -> Text:
    used = f"last used {token.used_at:%Y-%m-%d %H:%M} UTC" if token.used_at else "never used"
    return Text.assemble((token.name, "bold"), f"  {token.role}  ", (f"made {token.created_at:%Y-%m-%d}, {used}", "dim"))
