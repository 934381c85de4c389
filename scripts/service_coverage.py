"""Which share of each service the tests have run: a table, and a gate.

    python -m scripts.service_coverage

reads .build/results/coverage.json, writes .build/results/coverage.md, and ends with 1 where a part of services/ is
below the gate.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / ".build/results"
GATE = 80.0


@dataclass(slots=True)
class Share:
    """Lines and branches of one part of services/, and how many of them ran."""

    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_run: int = 0

    @property
    def percent(self) -> float:
        """Of lines and branches together; 100 where there are none."""
        all_of_them = self.lines + self.branches
        return 100.0 * (self.lines_run + self.branches_run) / all_of_them if all_of_them else 100.0


def shares(report: dict[str, Any]) -> dict[str, Share]:
    """By service (or chassis, cli), from the JSON report of coverage."""
    found: dict[str, Share] = {}
    for file, told in sorted(report["files"].items()):
        parts = Path(file).parts
        if len(parts) < 3 or parts[0] != "services":
            continue
        share, summary = found.setdefault(parts[1], Share()), told["summary"]
        share.lines += summary["num_statements"]
        share.lines_run += summary["covered_lines"]
        share.branches += summary.get("num_branches", 0)
        share.branches_run += summary.get("covered_branches", 0)
    return found


def table(found: dict[str, Share]) -> str:
    """As Markdown."""
    rows = [
        "| part of services/ | lines | lines run | branches | branches run | covered |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {name.replace('_', '-')} | {share.lines:,} | {share.lines_run:,} | {share.branches:,} | "
        f"{share.branches_run:,} | {share.percent:.1f} % |"
        for name, share in found.items()
    ]
    return "\n".join(rows) + "\n"


def main() -> int:
    """Prints and writes the table; 1 when a part is below the gate."""
    found = shares(json.loads((RESULTS / "coverage.json").read_text(encoding="utf-8")))
    text = table(found)
    (RESULTS / "coverage.md").write_text(text, encoding="utf-8")
    print(text)
    low = [f"{name}: {share.percent:.1f} %" for name, share in found.items() if share.percent < GATE]
    if low or not found:
        print(f"below {GATE:.0f} %: {', '.join(low) or 'nothing was measured'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
