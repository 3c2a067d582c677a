"""`discover`: what there is in a system, as a mapping to start from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from connectors.base import Runtime, utc_now
from connectors.registry import connection_model
from flows import seen
from flows.command.common import Folder, Json, Screen, advice, run, where
from flows.discover import Discovery, begin, default_output, write_new
from flows.discover import discover as ask
from flows.settings import Settings
from flows.starter import starter


def discover(
    name: Annotated[str, typer.Argument(help="A mapping by the name of its file, or a connector that has none yet.", metavar="SYSTEM")],
    folder: Folder = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write, - to print. Default: mappings/SYSTEM.discovered.yaml.", metavar="FILE")
    ] = "",
    as_json: Json = False,
) -> None:
    """Ask a system for its fields, stages and people, and write a commented mapping to pick from. Overwrites nothing."""
    with advice(as_json):
        there = where(folder)
        if not (there.folder / "mappings" / f"{name}.yaml").exists():
            _begin(there, name, as_json=as_json)
            return
        found = run(ask(there.folder, name, there.env, Runtime()))
        today = utc_now().date()
        text = starter(found.known, found.connection, found.source, found.target, today)
        written = _write(there.folder, name, output, text) if not as_json or output else None
        noted = seen.record(there.folder, name, found.whole, today)
        lines = [Text.assemble((found.known.system, "bold"), f": {_counted(found)}")]
        lines += [Text(f"Wrote {written}: take what you need into mappings/{name}.yaml.", style="green")] if written else []
        lines.append(Text(f"Noted in {noted}; `handoff check` tells what changes from now on.", style="dim"))
        if output == "-" and not as_json:
            typer.echo(text, nl=False)
            return
        Screen(as_json).show(Group(*lines), {**_data(found), "file": str(written or ""), "seen": str(noted)})


def _begin(there: Settings, name: str, *, as_json: bool) -> None:
    path = begin(there.folder, name)
    needs = [field for field, info in connection_model(name).model_fields.items() if info.is_required()]
    lines = [Text(f"Wrote {path}, to say how {name} is reached.", style="green")]
    lines.append(
        Text(f"Fill in {', '.join(needs)}; secrets into .env. Then `handoff discover {name}` again." if needs else "See that it fits.")
    )
    Screen(as_json).show(Group(*lines), {"file": str(path), "fill_in": needs})


def _write(folder: Path, name: str, output: str, text: str) -> Path | None:
    if output == "-":
        return None
    path = Path(output) if output else default_output(folder, name)
    write_new(path, text)
    return path


def _counted(found: Discovery) -> str:
    whole = found.whole
    objects = ", ".join(f"{each.name} ({len(each.fields)} fields)" for each in whole.objects)
    return f"{objects}; {len(whole.stages)} stages; {len(whole.people)} people"


def _data(found: Discovery) -> dict[str, Any]:
    return {"system": found.known.system, **asdict(found.whole)}
