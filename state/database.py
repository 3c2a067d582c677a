"""What a database engine must do for the store. Statements are written once, with `?` for parameters, and read the same by both engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from state.watermark import Watermark


class Rows(Protocol):
    """What a statement gave: tuples."""

    @property
    def rowcount(self) -> int: ...
    @property
    def description(self) -> Sequence[Any] | None: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """One connection, set up and migrated. Each statement by itself is a transaction, unless it runs inside `atomic`.

    Raises StateError for what a person can do something about, Transient for what goes away by itself.
    """

    name: str  # how messages call it; holds no password
    shared: bool  # several processes may write to it at a time
    watermark: Watermark | None  # how far the state had got, noted outside it; None when `home` tells
    home: str  # where the state lives, another one after it was restored there; empty when `watermark` tells

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows: ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """The statement for each row, in order; for all of them or for none."""

    def atomic(self) -> AbstractContextManager[None]:
        """All or nothing. Inside another one it joins that one, and an error that is caught between the two undoes the inner one alone."""

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Its rows one after the other, never all in memory; inside `atomic` or `snapshot`."""

    def snapshot(self) -> AbstractContextManager[None]:
        """As `atomic`, to read alone: everything as it is at one moment."""

    def check(self) -> list[str]:
        """What the engine itself finds wrong with what it stores."""

    def backup(self, to: Path) -> None:
        """A consistent copy, also while somebody writes, into a file that is there and empty."""

    def size(self) -> int:
        """Bytes it takes."""

    def vacuum(self) -> None:
        """Give back the space of what was deleted."""

    def count_on(self, table: str, column: str) -> None:
        """Number new rows after those that were put in with their numbers."""

    def close(self) -> None: ...
