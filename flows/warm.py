"""Connectors that stay open from run to run: a run right behind another signs in nowhere and reads no file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from connectors.base import Runtime, Source, Target
from flows import logs
from flows.configuration import Loaded, load
from flows.session import connect
from flows.settings import Settings, settings

_LIFE = timedelta(minutes=10)  # what a connector counts for one run, its share of a quota for one, starts again after that
_log: logging.Logger = logs.get("warm")


@dataclass(frozen=True, slots=True)
class Opened:
    """A configuration and its connectors, and how many calls each had made so far."""

    loaded: Loaded
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    mark: object
    until: datetime

    @property
    def calls(self) -> dict[str, int]:
        found: dict[str, int] = {}
        systems: list[tuple[str, Source | Target]] = [*self.sources.items(), *self.targets.items()]
        for name, system in systems:
            found[name] = found.get(name, 0) + system.calls
        return found


class Warm:
    """Gives the same open connectors again, unless a file of the configuration changed, they grew old, or somebody closed them after an error."""

    def __init__(self, where: Settings, runtime: Runtime) -> None:
        self._where, self._runtime = where, runtime
        self._stack = AsyncExitStack()
        self._opened: Opened | None = None

    async def use(self) -> Opened:
        """Raises ConfigError for a configuration that cannot run."""
        now, mark = self._runtime.clock(), tuple(_marks(self._where.folder))
        if self._opened is not None and (self._opened.mark != mark or self._opened.until <= now):
            await self.close()
        if self._opened is None:
            loaded = load(self._where.folder, settings(self._where.folder).env)
            sources, targets = await self._stack.enter_async_context(connect(loaded, self._runtime))
            self._opened = Opened(loaded, sources, targets, mark, now + _LIFE)
            _log.info("connected", extra={"sources": list(sources), "targets": list(targets)})
        return self._opened

    async def close(self) -> None:
        self._opened = None
        await self._stack.aclose()


def _marks(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What tells one version of the files from another."""
    for path in sorted((folder / ".env", folder / "rules.yaml", *(folder / "mappings").rglob("*.yaml"))):
        if path.exists():
            known = path.stat()
            yield str(path), known.st_mtime_ns, known.st_size
