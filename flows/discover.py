"""Ask one system what there is in it, by the mapping that connects it, and write what a mapping could be made of. Changes nothing anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from connectors.base import ConfigError, Description, Runtime
from connectors.registry import SYSTEMS, connection_model, source_opener, target_opener
from engine.config import SystemMapping
from engine.document import build
from engine.hints import suggest
from engine.mapping import reads
from engine.model import Problem
from engine.yaml import parse
from flows.configuration import DISCOVERED, load_mapping
from flows.starter import Known, connection_lines

SHIPPED = Path(__file__).parents[1] / "mappings"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a system told: as a CRM, as a project tool, or both; and what a starter is matched by."""

    known: Known
    connection: type[BaseModel]
    source: Description | None
    target: Description | None

    @property
    def whole(self) -> Description:
        """Both sides as one."""
        sides = [side for side in (self.source, self.target) if side is not None]
        people = {member.id: member for side in sides for member in side.people}
        objects = tuple(each for side in sides for each in side.objects)
        return Description(objects, tuple(stage for side in sides for stage in side.stages), tuple(people.values()))


def shipped(system: str) -> tuple[SystemMapping, ...]:
    """The mappings that ship for a connector."""
    documents = (parse(path.read_bytes(), path.name) for path in sorted(SHIPPED.glob("*.yaml")))
    built = (build(document, SystemMapping)[0] for document in documents)
    return tuple(mapping for mapping in built if mapping is not None and mapping.system == system)


def begin(folder: Path, system: str) -> Path:
    """Write a mapping with nothing but a connection to fill in, for a system that has none yet."""
    if system not in SYSTEMS:
        hint = suggest(system, list(SYSTEMS))
        raise ConfigError([Problem(f"there is no mappings/{system}.yaml, and no connector {system}", hint=hint)])
    known: dict[str, object] = {}
    for one in reversed(shipped(system)):
        known |= one.connection
    text = "\n".join(["version: 1", f"system: {system}", "", *connection_lines(system, connection_model(system), known)]) + "\n"
    head = f"# {system}: how it is reached. Then `handoff discover {system}` writes what there is to read or to write.\n"
    path = folder / "mappings" / f"{system}.yaml"
    write_new(path, head + text)
    return path


async def discover(folder: Path, name: str, env: Mapping[str, str], runtime: Runtime) -> Discovery:
    """Connect by `mappings/<name>.yaml` and ask."""
    document, mapping, connection = load_mapping(folder, name, env)
    known = Known(name, mapping.system, mapping, shipped(mapping.system), dict(document.data["connection"]))
    source, target = await _as_source(known, connection, runtime), await _as_target(known, connection, runtime)
    return Discovery(known, type(connection), source, target)


async def _as_source(known: Known, connection: BaseModel, runtime: Runtime) -> Description | None:
    opener = source_opener(known.system)
    if opener is None or (known.own.fields and not known.own.read):
        return None
    wanted = known.own.model_copy(update={"read": known.read()})
    async with opener(connection, reads=reads(wanted), write_back={}, runtime=runtime) as source:
        return await source.describe()


async def _as_target(known: Known, connection: BaseModel, runtime: Runtime) -> Description | None:
    opener = target_opener(known.system)
    if opener is None or (known.own.read and not known.own.fields and not known.own.people.roles):
        return None
    fields = {name: field.model_dump() for name, field in known.own.fields.items()}
    async with opener(connection, fields=fields, runtime=runtime) as target:
        return await target.describe()


def default_output(folder: Path, name: str) -> Path:
    return folder / "mappings" / f"{name}{DISCOVERED}"


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises ConfigError rather than touch one that is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(
            [Problem("exists already; nothing was written", str(path), hint="name another with --output, or - to print")]
        ) from None
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise ConfigError([Problem(f"cannot be written ({error.strerror})", str(path))]) from error
