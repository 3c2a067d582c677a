"""Try the machine on mutants: `python -m tests.machine.trial [EXAMPLES]` tells how the absence of each guard is noticed, or exits with 1."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import Phase, Verbosity
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.machine.examples import DEATHS, STORIES, Story, name_of, play
from tests.machine.machine import Sync, Wrong
from tests.machine.mutants import MUTANTS, Mutant
from tests.machine.search import search

EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Found:
    """`seen` is what was seen instead; `way` how it was come upon."""

    seen: str
    way: str


@contextmanager
def without(mutant: Mutant) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        mutant.remove(patch)
        yield


def by_search(mutant: Mutant, examples: int = EXAMPLES) -> Found | None:
    """What random examples show, if they do. Only what must never be counts: an error of the mutant itself is raised."""
    Sync.examples = 0
    with without(mutant):
        try:
            search(examples, phases=[Phase.generate], verbosity=Verbosity.quiet)
        except Wrong as wrong:
            return Found(_name(wrong), f"example {Sync.examples}")
    return None


def by_story(mutant: Mutant, stories: Iterable[Story] = (*STORIES, *DEATHS)) -> Found | None:
    for story in stories:
        with without(mutant):
            try:
                play(story)
            except Wrong as wrong:
                return Found(_name(wrong), name_of(story))
    return None


def _name(wrong: Wrong) -> str:
    return str(wrong).partition(":")[0].partition(",")[0]


def main(examples: int = EXAMPLES) -> int:
    logging.disable(logging.CRITICAL)
    console = Console()
    table = Table("guard", "seen without it", "by search", "by story")
    survived = 0
    for mutant in track(MUTANTS.values(), "Removing guards, one at a time", console=Console(stderr=True)):
        searched, told = by_search(mutant, examples), by_story(mutant)
        found = searched or told
        survived += found is None
        seen = found.seen if found else "[red]nothing: it survives[/]"
        table.add_row(mutant.guard, seen, searched.way if searched else f"not in {examples}", told.way if told else "no")
    console.print(table)
    console.print(f"{len(MUTANTS)} guards, {survived} not missed by anything")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
