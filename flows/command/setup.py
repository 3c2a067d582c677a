"""`init`, `schema`: a working example to start from, and what editors need to check it while one types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Group
from rich.text import Text

from connectors.base import ConfigError
from connectors.channels import Channel
from connectors.registry import SYSTEMS, connection_model
from engine.model import Problem
from engine.schema import reference, schemas
from flows.command.common import Folder, Json, Screen, advice, where

ROOT = Path(__file__).parents[2]
_ENV = """# Secrets of this installation. Never commit this file.
SALESFORCE_LOGIN_URL=https://your-domain.my.salesforce.com
SALESFORCE_CLIENT_ID=
SALESFORCE_CLIENT_SECRET=
ASANA_TOKEN=
ASANA_WORKSPACE=
ASANA_TEAM=
"""


def init(
    into: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write the example to; made when missing.")],
    as_json: Json = False,
) -> None:
    """Write a working example: rules.yaml, mappings/ with blueprints, a .env to fill in. Overwrites nothing."""
    with advice():
        wanted = [Path("rules.yaml"), *(path.relative_to(ROOT) for path in sorted((ROOT / "mappings").rglob("*.yaml")))]
        standing = [str(path) for path in (*wanted, Path(".env")) if (into / path).exists()]
        if standing:
            raise ConfigError([Problem("exists already; nothing was written", str(into / name)) for name in standing])
        try:
            for path in wanted:
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                text = (ROOT / path).read_text(encoding="utf-8")
                (into / path).write_text(_modeline(path, text) + text, encoding="utf-8")
            _write_private(into / ".env", _ENV)
            _write_schemas(into / "schemas")
            if not (into / ".gitignore").exists():
                (into / ".gitignore").write_text(".env\nstate/\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError([Problem(f"cannot be written ({error.strerror})", str(error.filename or into))]) from error
        steps = [
            ("Fill in", f"{into / '.env'}  (how to get each value: docs/connect.md)"),
            ("Check", f"handoff check -C {into}"),
            ("Look", f"handoff plan -C {into}   (the first one records history and creates nothing)"),
            ("Go", f"handoff sync -C {into}"),
        ]
        lines = [Text(f"Wrote {len(wanted)} YAML files, their schemas and a .env to {into}.", style="green")]
        lines += [Text.assemble((f"  {what:8}", "bold"), how) for what, how in steps]
        Screen(as_json).show(Group(*lines), {"folder": str(into), "files": [str(path) for path in wanted]})


def _modeline(path: Path, text: str) -> str:
    """What editors with a YAML language server complete and check a file by."""
    system = re.search(r"(?m)^system: *([\w-]+)", text)
    kind = {0: "rules", 1: f"mapping-{system[1] if system else path.stem}", 2: "blueprint"}[len(path.parts) - 1]
    return f"# yaml-language-server: $schema={'../' * (len(path.parts) - 1)}schemas/{kind}.schema.json\n"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def _write_schemas(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas(_connections(), Channel).items():
        (folder / f"{name}.schema.json").write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _connections() -> dict[str, type[BaseModel]]:
    return {system: connection_model(system) for system in SYSTEMS}


def schema(
    folder: Folder = None,
    docs: Annotated[bool, typer.Option("--reference", help="Print the configuration reference as Markdown instead.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write schemas/*.schema.json into the folder instead of printing them.")] = False,
) -> None:
    """Print the JSON Schemas of rules.yaml, mappings and blueprints, for editors that complete and check YAML."""
    with advice():
        if docs:
            typer.echo(reference(_connections(), Channel), nl=False)
        elif write:
            target = where(folder).folder / "schemas"
            _write_schemas(target)
            typer.echo(f"wrote {', '.join(f'{name}.schema.json' for name in schemas(_connections(), Channel))} to {target}")
        else:
            typer.echo(json.dumps(schemas(_connections(), Channel), indent=2, ensure_ascii=False))
