"""All tests: those that need the machine's network (linters install themselves), then those inside the world's sandbox.

The last line counts them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest"]
STAGES = {
    "quality": [*PYTEST, "tests/quality"],
    "matrix": [*PYTEST, "tests/matrix"],
    "browser": [*PYTEST, "tests/browser"],
    "world": [sys.executable, "-m", "world", "exec", "--", *PYTEST, "tests/unit", "tests/world", "tests/integration"],
}


def main() -> int:
    passed = failed = 0
    for name, command in STAGES.items():
        report = ROOT / "build" / "reports" / f"{name}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        print(f"== {name}", flush=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        status = subprocess.run(
            [*command, "--durations=8", f"--junitxml={report}"], cwd=ROOT, env=environment, check=False
        ).returncode
        if not report.exists():
            print(f"{name} ended with status {status} and without a report")
            failed += 1
            continue
        for suite in ElementTree.parse(report).iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            failed += bad
            passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
