"""Figures, their references and ratios: a table for people and JSON for programs."""

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured path. Figures are medians over the runs, `runs` holds every pair (figure, reference)."""

    path: str
    figure: float
    reference: float
    unit: str
    goal: str
    runs: list[tuple[float, float]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Median of the ratios pair by pair, which holds when the machine's speed drifts."""
        return statistics.median(figure / reference for figure, reference in self.runs)


def row(path: str, runs: list[tuple[float, float]], *, unit: str, goal: str, notes: dict[str, str]) -> Row:
    """Medians of the pairs."""
    figures, references = [pair[0] for pair in runs], [pair[1] for pair in runs]
    return Row(path, statistics.median(figures), statistics.median(references), unit, goal, runs, notes)


def machine() -> str:
    """What it ran on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def show(rows: list[Row], output: Path) -> None:
    """Prints the table and writes the JSON."""
    table = Table(title=f"Tocsin on {machine()}", title_justify="left", box=None, pad_edge=False)
    for name in ("path", "figure", "reference", "unit", "ratio", "goal"):
        table.add_column(name, justify="right" if name in ("figure", "reference", "ratio") else "left", overflow="fold")
    for one in rows:
        table.add_row(one.path, f"{one.figure:,.0f}", f"{one.reference:,.0f}", one.unit, f"{one.ratio:.2f}", one.goal)
        for name, text in one.notes.items():
            table.add_row(f"  [dim]{name}[/]", f"[dim]{text}[/]", "", "", "", "")
    Console(width=160).print(table)
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [{**asdict(one), "ratio": one.ratio} for one in rows],
    }
    output.write_text(json.dumps(content, indent=2) + "\n")
    Console().print(f"[dim]written to {output}[/]")
