"""Writes docs/test-results.md from what the last runs have left in .build/results.

    make coverage mutation test-results

The page is a record of a run, and no test holds it to the code.
"""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.service_coverage import RESULTS, shares, table
from services.chassis.version import tocsin_version

ROOT = Path(__file__).parents[1]
_KINDS = ("unit", "contract", "integration", "e2e")
_SLOWEST = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One test: its file without `tests.`, its name, how it ended, and how long it took with its fixtures."""

    file: str
    name: str
    outcome: str
    seconds: float

    @property
    def kind(self) -> str:
        return self.file.split(".")[0]


def cases(reports: Iterable[Path]) -> list[Case]:
    """Of all JUnit reports."""
    found: list[Case] = []
    for report in sorted(reports):
        for case in ElementTree.parse(report).iter("testcase"):
            ended = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            file = case.get("classname", "").removeprefix("tests.")
            found.append(Case(file, case.get("name", ""), ended, float(case.get("time", "0"))))
    return found


def by_kind(found: list[Case]) -> str:
    """A table of the kinds of tests."""
    rows = ["| kind | files | tests | passed | failed | skipped | seconds of work |", "|---|--:|--:|--:|--:|--:|--:|"]
    of_kind: dict[str, list[Case]] = defaultdict(list)
    for case in found:
        of_kind[case.kind].append(case)
        of_kind["all"].append(case)
    for kind in (*_KINDS, "all"):
        ended = [case.outcome for case in of_kind[kind]]
        failed = ended.count("failure") + ended.count("error")
        rows.append(
            f"| {kind} | {len({case.file for case in of_kind[kind]}):,} | {len(ended):,} | {ended.count('passed'):,} | "
            f"{failed:,} | {ended.count('skipped'):,} | {sum(case.seconds for case in of_kind[kind]):,.0f} |"
        )
    return "\n".join(rows) + "\n"


def slowest(found: list[Case]) -> str:
    """A table of the tests that take longest."""
    rows = ["| test | seconds |", "|---|--:|"]
    for case in sorted(found, key=lambda case: -case.seconds)[:_SLOWEST]:
        name = case.name.replace("|", "\\|")
        rows.append(f"| `tests/{case.file.replace('.', '/')}.py::{name}` | {case.seconds:.1f} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The whole of it. Raises FileNotFoundError when nothing was measured."""
    found = cases(RESULTS.glob("junit-*.xml"))
    coverage = shares(json.loads((RESULTS / "coverage.json").read_text(encoding="utf-8")))
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    mutation = RESULTS / "mutation.json"
    mutants = "No mutation run beside this one.\n"
    if mutation.exists():
        counts = json.loads(mutation.read_text(encoding="utf-8"))
        mutants = f"{counts['noticed']} of {counts['mutants']} mutants of the sample were noticed.\n"
    measured = datetime.fromtimestamp((RESULTS / "coverage.json").stat().st_mtime, UTC)
    head = (
        "# Test results\n\n"
        f"Written by `make test-results`; do not edit. Version {tocsin_version()}, commit {commit}, "
        f"{measured:%Y-%m-%d %H:%M} UTC. Tests were slowed down by the measuring of their coverage.\n"
    )
    parts = {
        "Tests by kind": by_kind(found),
        "Coverage": "Lines and branches of `services/` that ran in any process.\n\n" + table(coverage),
        "Mutants": mutants,
        "The longest tests": slowest(found),
    }
    return head + "".join(f"\n## {title}\n\n{text}" for title, text in parts.items())


def main() -> int:
    """Writes the page."""
    try:
        text = page()
    except FileNotFoundError as missing:
        print(f"nothing was measured yet ({missing.filename}): make coverage", file=sys.stderr)
        return 1
    (ROOT / "docs/test-results.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
