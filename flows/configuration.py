"""Read the user's files: `rules.yaml`, `mappings/*.yaml`, `mappings/blueprints/*.yaml`. Every problem at once, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, create_model

from connectors.base import ConfigError, Traits
from connectors.channels import Channel
from connectors.push import PushSettings
from connectors.registry import PUSHES, SYSTEMS, connection_model, push_settings, source_opener, target_opener
from engine.check import Configuration, check
from engine.config import CreateProject, SystemMapping
from engine.document import Document, build, resolve
from engine.hints import suggest
from engine.model import Problem
from engine.plan import Planner
from engine.yaml import Invalid, parse

M = TypeVar("M", bound=BaseModel)
MAX_BYTES = 1_000_000
DISCOVERED = ".discovered.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can run: checked, its connections validated, secrets filled in. `planners` are those compiled so far, with what the tools
    could do for each."""

    folder: Path
    configuration: Configuration
    connections: Mapping[str, BaseModel]
    pushes: Mapping[str, PushSettings] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    planners: list[tuple[Mapping[str, Traits], Planner]] = field(default_factory=list, compare=False, repr=False)

    @property
    def targets(self) -> tuple[str, ...]:
        """The systems some rule makes projects in."""
        return targets(self.configuration)


def targets(configuration: Configuration) -> tuple[str, ...]:
    actions = [action for rule in configuration.rules.rules for action in rule.do if isinstance(action, CreateProject)]
    return tuple(dict.fromkeys(target for action in actions for target in (action.target, *action.parts.values())))


def load(folder: Path, env: Mapping[str, str] | None = None, *, connect: bool = True) -> Loaded:
    """The configuration in `folder`. Raises ConfigError with every problem. Without `connect`, secrets are not looked up."""
    problems: list[Problem] = []
    rules = _document(folder / "rules.yaml", folder, problems)
    mappings = _documents(folder / "mappings", folder, problems)
    blueprints = _documents(folder / "mappings" / "blueprints", folder, problems)
    if rules is None:
        raise ConfigError(problems)
    configuration, wrong = check(rules, mappings, blueprints)
    problems += wrong
    if problems or configuration is None:
        raise ConfigError(problems)
    known = os.environ if env is None else env
    connections = _connections(configuration, known, folder, problems) if connect else {}
    pushes = _pushes(configuration, known, folder, problems) if connect else {}
    channels = _channels(configuration, known, folder, problems) if connect else {}
    if problems:
        raise ConfigError(problems)
    return Loaded(folder, configuration, connections, pushes, channels)


def load_mapping(folder: Path, name: str, env: Mapping[str, str]) -> tuple[Document, SystemMapping, BaseModel]:
    """One mapping by itself, whatever state the other files are in, and its connection. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    document = _document(folder / "mappings" / f"{name}.yaml", folder, problems)
    if document is None:
        raise ConfigError(problems)
    mapping, problems = build(document, SystemMapping)
    connection = _connection(document, (), env, folder, problems) if mapping is not None else None
    if mapping is None or connection is None:
        raise ConfigError(problems)
    return document, mapping, connection


def at(configuration: Configuration, system: str, problem: Problem) -> Problem:
    """A connector's problem with its place in the system's mapping file."""
    document = configuration.documents.get(f"mappings/{system}")
    if document is None or problem.line or not problem.path:
        return problem
    line, column = document.place(problem.path)
    return replace(problem, file=document.file, line=line, column=column)


def _documents(folder: Path, root: Path, problems: list[Problem]) -> dict[str, Document]:
    """Every file but those that `handoff discover` writes to pick from."""
    paths = (path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(DISCOVERED))
    found = ((path.stem, _document(path, root, problems)) for path in paths)
    return {name: document for name, document in found if document is not None}


def _document(path: Path, root: Path, problems: list[Problem]) -> Document | None:
    shown = str(path.relative_to(root))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        return parse(raw, shown)
    except OSError as error:
        hint = "name the folder it is in with -C; `handoff init` writes a working example" if path.name == "rules.yaml" else ""
        problems.append(Problem(f"cannot be read ({error.strerror})", str(path) if hint else shown, hint=hint))
    except Invalid as error:
        problems += error.problems
    return None


def _connections(configuration: Configuration, env: Mapping[str, str], folder: Path, problems: list[Problem]) -> dict[str, BaseModel]:
    found: dict[str, BaseModel] = {}
    for name, roles in _roles(configuration).items():
        connection = _connection(configuration.documents[f"mappings/{name}"], roles, env, folder, problems)
        if connection is not None:
            found[name] = connection
    return found


def _pushes(configuration: Configuration, env: Mapping[str, str], folder: Path, problems: list[Problem]) -> dict[str, PushSettings]:
    """The `push:` sections, of all mappings that have one."""
    found: dict[str, PushSettings] = {}
    for name, mapping in configuration.mappings.items():
        if mapping.push is None:
            continue
        document, model = configuration.documents[f"mappings/{name}"], push_settings(mapping.system)
        if model is None:
            known = [system for system in PUSHES if system != "generic"]
            problems.append(
                document.problem(f"{mapping.system} does not tell of changes by itself", ("push",), hint=suggest(mapping.system, known))
            )
            continue
        built = _section(document, "push", model, env, folder, problems)
        if built is not None:
            found[name] = built
    return found


def _channels(configuration: Configuration, env: Mapping[str, str], folder: Path, problems: list[Problem]) -> Mapping[str, Channel]:
    if not configuration.rules.channels:
        return {}
    return _section(configuration.documents["rules"], "channels", cast("Any", dict[str, Channel]), env, folder, problems) or {}


def _section(  # noqa: PLR0917 - as its neighbours have them
    document: Document, key: str, model: type[M], env: Mapping[str, str], folder: Path, problems: list[Problem]
) -> M | None:
    """A section whose shape is a connector's own, with secrets filled in."""
    values, wrong = resolve(document.data[key], env, lambda name: (folder / Path(name).expanduser()).read_text(), at=(key,))
    problems += [_located(document, problem) for problem in wrong]
    if wrong:
        return None
    built, faults = build(replace(document, data={key: values}), create_model("Mapping", **{key: (model, ...)}))  # type: ignore[call-overload]
    problems += faults
    return getattr(built, key, None) if built is not None else None


def _roles(configuration: Configuration) -> dict[str, list[str]]:
    """The systems that are connected to, and what as."""
    sources, made_in = configuration.rules.sources, targets(configuration)
    return {name: [*["source"] * (name in sources), *["target"] * (name in made_in)] for name in dict.fromkeys([*sources, *made_in])}


def connection_problems(configuration: Configuration) -> list[Problem]:
    """What is wrong with the `connection:` sections as they are written; what is taken from the environment or a file is left aside."""
    problems: list[Problem] = []
    for name, roles in _roles(configuration).items():
        document = configuration.documents[f"mappings/{name}"]
        if _connects(document, roles, problems):
            _, faults = build(replace(document, data={"connection": document.data["connection"]}), _wrapper(str(document.data["system"])))
            known = connection_model(str(document.data["system"])).model_fields
            problems += [
                fault for fault in faults if not fault.path or fault.path[-1] not in known or not _is_referred(document.data, fault.path)
            ]
    return problems


def channel_problems(configuration: Configuration) -> list[Problem]:
    """Likewise of the `channels:` section."""
    document = configuration.documents["rules"]
    if not configuration.rules.channels:
        return []
    model = create_model("Mapping", channels=(dict[str, Channel], ...))
    _, faults = build(replace(document, data={"channels": document.data["channels"]}), model)
    return [fault for fault in faults if fault.message.startswith("unknown key") or not _is_referred(document.data, fault.path)]


def _is_referred(data: Any, path: tuple[str | int, ...]) -> bool:
    for step in path:
        within = (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int) and step < len(data))
        data = data[step] if within else None
    return isinstance(data, str) and "${" in data


def _connects(document: Document, roles: Sequence[str], problems: list[Problem]) -> bool:
    system = str(document.data["system"])
    if system not in SYSTEMS:
        problems.append(document.problem(f"there is no connector {system}", ("system",), hint=suggest(system, list(SYSTEMS))))
        return False
    openers = {"source": source_opener, "target": target_opener}
    lacking = [role for role in roles if openers[role](system) is None]
    problems += [document.problem(f"{system} cannot be a {role}", ("system",)) for role in lacking]
    return not lacking


def _connection(
    document: Document, roles: Sequence[str], env: Mapping[str, str], folder: Path, problems: list[Problem]
) -> BaseModel | None:
    if not _connects(document, roles, problems):
        return None
    return _section(document, "connection", connection_model(str(document.data["system"])), env, folder, problems)


def _wrapper(system: str) -> type[BaseModel]:
    """The connector's own model under the key it stands under, so that its problems get their places in the file."""
    return create_model("Mapping", connection=(connection_model(system), ...))


def _located(document: Document, problem: Problem) -> Problem:
    line, column = document.place(problem.path)
    return replace(problem, file=document.file, line=line, column=column)
