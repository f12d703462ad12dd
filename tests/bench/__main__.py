"""Run all measurements in a world: a table for people, build/bench.json for programs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import tempfile
import time
from pathlib import Path

import bench
from bench import Case
from staging import ROOT
from world.world import World

REPORT = ROOT / "build" / "bench.json"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def table(cases: list[Case]) -> str:
    """Columns as wide as their longest cell."""
    head = ("what", "n", "ours", "other", "times", "requests", "the other is")
    rows = [
        (
            case.name,
            str(case.n),
            seconds(case.ours),
            seconds(case.other),
            f"{case.other / case.ours:.1f}",
            str(case.requests),
            case.other_is,
        )
        for case in cases
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    started = time.monotonic()
    cases: list[Case] = []
    with tempfile.TemporaryDirectory() as folder, World() as world:
        for module in sorted(
            item.name for item in pkgutil.iter_modules(bench.__path__) if item.name.startswith("bench_")
        ):
            print(f"{module} …", flush=True)
            cases += importlib.import_module(f"bench.{module}").measure(world, Path(folder))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps([case.report() for case in cases], indent=2) + "\n")
    print(table(cases))
    print(f"{REPORT.relative_to(ROOT)} written after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
