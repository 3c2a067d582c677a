"""`python -m bench [NAME …] [--json]`: measure, then one table of what came out and of the goals kept or missed."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench import apply, baseline, inbox, limited, plan, push, zoho
from bench.measure import Benchmark, Figure

ALL: Mapping[str, Callable[[], Benchmark | tuple[Benchmark, ...]]] = {
    "plan": plan.measure,
    "apply": apply.measure,
    "limited": limited.measure,
    "baseline": baseline.measure,
    "zoho": zoho.measure,
    "inbox": inbox.measure,
    "push": push.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ALL)} (with quiet); all when none is named")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    if unknown := set(asked.names) - ALL.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    began, told = time.perf_counter(), Console(stderr=True)
    found: list[Benchmark] = []
    for name in asked.names or ALL:
        told.print(f"[dim]{name} …[/dim]")
        results = ALL[name]()
        found += [results] if isinstance(results, Benchmark) else results
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {time.perf_counter() - began:.0f} s in all"
    if asked.json:
        sys.stdout.write(json.dumps({"machine": machine, "benchmarks": [_data(one) for one in found]}, indent=2) + "\n")
    else:
        Console().print(_table(found, machine))


def _data(benchmark: Benchmark) -> dict[str, object]:
    return {"name": benchmark.name, "what": benchmark.what, "figures": [{**asdict(one), "met": one.met} for one in benchmark.figures]}


def _table(found: Sequence[Benchmark], machine: str) -> Table:
    table = Table(caption=machine, caption_justify="left")
    for column in ("", "Measured", "Value", "Goal"):
        table.add_column(column, justify="right" if column == "Value" else "left")
    for benchmark in found:
        table.add_row(f"[bold cyan]{benchmark.name}[/]", f"[italic]{benchmark.what}[/]", "", "")
        for figure in benchmark.figures:
            table.add_row("", f"  {figure.name}", _value(figure), _goal(figure))
        table.add_section()
    return table


def _value(figure: Figure) -> str:
    shown = f"{figure.value:,.0f}" if abs(figure.value) >= 100 or figure.value == int(figure.value) else f"{figure.value:.2f}"
    return f"{shown} {figure.unit}".strip()


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    bound = {">=": "≥", "<=": "≤"}[figure.bound]
    return f"[green]{bound} {figure.goal:g} kept[/]" if figure.met else f"[red]{bound} {figure.goal:g} missed[/]"


if __name__ == "__main__":
    main()
