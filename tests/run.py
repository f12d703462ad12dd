"""All tests, in lanes beside each other: those that need the machine's network (linters and other versions of Ansible install
themselves), and those inside the sandbox of a world; the longest one's progress is shown.

The last line counts them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "reports"
PYTEST = [sys.executable, "-m", "pytest"]
WORLD = [sys.executable, "-m", "world", "exec", "--", *PYTEST]


def files(*names: str) -> list[str]:
    return [f"tests/integration/test_{name}.py" for name in names]


#: In worlds of their own, so that the lanes take about as long as each other.
JOURNEYS = files("awx_setup", "quay_journey")
EXAMPLES = files("targets", "docs", "least_privilege")
LANES = (
    {
        # every session of the matrix runs ansible-test sanity
        "quality": [*PYTEST, "tests/quality", "--ignore=tests/quality/test_sanity.py"],
        "matrix": [*PYTEST, "tests/matrix"],
        "browser": [*PYTEST, "tests/browser"],
        "journeys": [*WORLD, *JOURNEYS],
    },
    {"examples": [*WORLD, *EXAMPLES]},
    {
        "world": [
            *WORLD,
            *("tests/unit", "tests/world", "tests/integration"),
            *(f"--ignore={file}" for file in (*JOURNEYS, *EXAMPLES)),
        ]
    },
)


def stage(name: str, command: list[str], show: bool) -> tuple[int, int]:
    """Run it; how many tests passed and how many failed."""
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    print(f"== {name}", flush=True)
    run = subprocess.run(
        [*command, "--durations=8", f"--junitxml={report}"],
        cwd=ROOT,
        env=environment,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not show:
        print(f"\n== {name} has ended\n{run.stdout}", flush=True)
    if not report.exists():
        print(f"{name} ended with status {run.returncode} and without a report")
        return 0, 1
    passed = failed = 0
    for suite in ElementTree.parse(report).iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    # a session that ran out of time has a report, too
    return passed, failed or int(run.returncode != 0)


def lane(stages: dict[str, list[str]]) -> list[tuple[int, int]]:
    """One stage after the other."""
    return [stage(name, command, show=name == "world") for name, command in stages.items()]


def main() -> int:
    REPORTS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(LANES)) as pool:
        counts = [count for counts in pool.map(lane, LANES) for count in counts]
    passed, failed = (sum(count) for count in zip(*counts, strict=True))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
