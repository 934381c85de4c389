"""The sample of a mutation run, and its report.

    python -m scripts.mutants sample SESSION [--count N] [--seed N]
    python -m scripts.mutants report RESULTS

`sample` leaves in the session of cosmic-ray only as many mutants as are wanted: places in the code are drawn at random,
the same ones for the same seed and code, and one mutant of each. Drawing places rather than mutants gives an operator
that can be replaced by ten others no more weight than a number. `report` reads what `cosmic-ray dump` prints.
"""

import argparse
import json
import random
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / ".build/results"
GATE = 85.0
# Annotations are full of `|`, and a module with another operator there cannot be imported; neither it nor a decorator
# that is gone says anything of the tests.
_NOT_WORTH_IT = "operator_name LIKE 'core/ReplaceBinaryOperator_BitOr_%' OR operator_name = 'core/RemoveDecorator'"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One mutant: where, what was changed, and what the tests said."""

    module: str
    line: int
    operator: str
    outcome: str
    diff: str

    @property
    def noticed(self) -> bool:
        """Whether a test failed, or hung."""
        return self.outcome == "killed"


def draw(places: Iterable[tuple[tuple[Any, ...], str]], count: int, seed: int) -> set[str]:
    """The ids of one mutant at each of `count` places; `places` has the place and the id of every mutant."""
    by_place: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for place, job in sorted(places):
        by_place[place].append(job)
    chance = random.Random(seed)
    drawn = chance.sample(sorted(by_place), min(count, len(by_place)))
    return {chance.choice(by_place[place]) for place in drawn}


def sample(session: Path, count: int, seed: int) -> None:
    """Removes all mutants from the session but those that were drawn. The modules are those of the current folder."""
    with sqlite3.connect(session) as database:
        # Ids are random; what stands before them in the order is not.
        rows = database.execute(
            "SELECT module_path, start_pos_row, start_pos_col, operator_name, occurrence, job_id FROM mutation_specs"
            f" WHERE NOT ({_NOT_WORTH_IT})"
            " ORDER BY module_path, start_pos_row, start_pos_col, operator_name, occurrence"
        ).fetchall()
        rows = [row for row in rows if not _is_a_star_of_arguments(*row[:4])]
        numbered = {f"{number:08d}": row[-1] for number, row in enumerate(rows)}
        chosen = draw(((tuple(row[:3]), key) for key, row in zip(numbered, rows, strict=True)), count, seed)
        keep = {numbered[key] for key in chosen}
        database.execute("CREATE TEMPORARY TABLE kept (job_id PRIMARY KEY)")
        database.executemany("INSERT INTO kept VALUES (?)", [(job,) for job in keep])
        for table in ("mutation_specs", "work_items"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN (SELECT job_id FROM kept)")
    print(f"{len(keep)} of {len(rows):,} mutants")


@cache
def _lines(module: str) -> list[str]:
    return Path(module).read_text(encoding="utf-8").splitlines()


def _is_a_star_of_arguments(module: str, row: int, column: int, operator: str) -> bool:
    """`f(*a)`, `def f(a, *, b)`: cosmic-ray takes these stars for products, and what it makes of them is no Python."""
    if not operator.startswith(("core/ReplaceBinaryOperator_Mul_", "core/ReplaceBinaryOperator_Pow_")):
        return False
    before = _lines(module)[row - 1][:column].rstrip()
    return not before or before.endswith(("(", ",", "[", "{"))


def verdicts(lines: Iterable[str]) -> list[Verdict]:
    """Of the mutants that were judged."""
    found: list[Verdict] = []
    for line in lines:
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        mutation = item["mutations"][0]
        outcome = result["test_outcome"] or result["worker_outcome"]
        where = (mutation["module_path"], mutation["start_pos"][0])
        found.append(Verdict(*where, mutation["operator_name"], outcome, result["diff"] or ""))
    return sorted(found, key=lambda verdict: (verdict.module, verdict.line, verdict.operator))


def summary(found: list[Verdict]) -> tuple[str, float]:
    """As Markdown, with the score in percent."""
    noticed = sum(verdict.noticed for verdict in found)
    score = 100.0 * noticed / len(found) if found else 0.0
    lines = [f"{noticed} of {len(found)} mutants were noticed: {score:.0f} %.", ""]
    for verdict in found:
        if verdict.noticed:
            continue
        changed = [line for line in verdict.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        lines += [f"`{verdict.module}:{verdict.line}` ({verdict.operator})", "", "```diff", *changed, "```", ""]
    return "\n".join(lines), score


def report(results: Path) -> int:
    """Prints and writes the report; 1 below the gate."""
    found = verdicts(results.read_text(encoding="utf-8").splitlines())
    text, score = summary(found)
    (RESULTS / "mutation.md").write_text(text, encoding="utf-8")
    counts = {"mutants": len(found), "noticed": sum(verdict.noticed for verdict in found)}
    (RESULTS / "mutation.json").write_text(json.dumps(counts), encoding="utf-8")
    print(text)
    return 0 if score >= GATE else 1


def main() -> int:
    """One of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("sample")
    drawing.add_argument("session", type=Path)
    drawing.add_argument("--count", type=int, default=60)
    drawing.add_argument("--seed", type=int, default=1)
    commands.add_parser("report").add_argument("results", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "report":
        return report(chosen.results)
    sample(chosen.session, chosen.count, chosen.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
