"""Figures, their references and ratios: a table for people and JSON for programs."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.bench.calls.figures import CallFigures

_SHOWN = 12
"""Statements that the table shows of a call; the JSON has them all."""


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


def show(rows: Sequence[Row], calls: Sequence[CallFigures], output: Path) -> None:
    """Prints the tables and writes the JSON."""
    if rows:
        _show_rows(rows)
    if calls:
        _show_calls(calls)
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [{**asdict(one), "ratio": one.ratio} for one in rows],
        "calls": [one.content() for one in calls],
    }
    output.write_text(json.dumps(content, indent=2) + "\n")
    Console().print(f"[dim]written to {output}[/]")


def _show_rows(rows: Sequence[Row]) -> None:
    table = Table(title=f"Tocsin on {machine()}", title_justify="left", box=None, pad_edge=False)
    for name in ("path", "figure", "reference", "unit", "ratio", "goal"):
        table.add_column(name, justify="right" if name in ("figure", "reference", "ratio") else "left", overflow="fold")
    for one in rows:
        table.add_row(one.path, f"{one.figure:,.0f}", f"{one.reference:,.0f}", one.unit, f"{one.ratio:.2f}", one.goal)
        for name, text in one.notes.items():
            table.add_row(f"  [dim]{name}[/]", f"[dim]{text}[/]", "", "", "", "")
    Console(width=160).print(table)


_PARTS = {"envoy": "Envoy", "gateway": "gateway", "postgres": "PostgreSQL", "nats": "broker"}
"""Parts with a column of their own; the others are services."""


def _show_calls(calls: Sequence[CallFigures]) -> None:
    table = Table(
        title=f"Calls on {machine()}; beside: the FastAPI twin", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("call", overflow="fold")
    columns = "calls/s", "p99 ms", "beside/s", "p99 ms", "ratio", *_PARTS.values(), "services"
    for name in (*columns, "statements", "commits", "WAL syncs", "messages +/-"):
        table.add_column(name, justify="right", overflow="fold")
    for one in calls:
        cells = [
            f"{statistics.median(one.rates):,.0f}",
            _median(one.p99),
            _median(one.twin_rates),
            _median(one.twin_p99),
            "" if one.ratio is None else f"{one.ratio:.2f}",
            *(f"{one.cpu_of(part):.2f}" for part in _PARTS),
            ", ".join(f"{part} {one.cpu_of(part):.2f}" for part in one.cpu if _is_service(one, part)),
        ]
        if one.counted:
            counts = one.counts
            cells += [
                f"{one.per_call(count):.2f}" for count in (counts.statements.total(), counts.commits, counts.syncs)
            ]
            cells.append(f"{one.per_call(counts.stored):.2f}/{one.per_call(counts.removed):.2f}")
        table.add_row(escape(one.title), *cells)
    console = Console(width=220)
    console.print(table)
    for one in calls:
        if one.counted:
            console.print(f"\n{escape(one.title)}")
            for text, share in list(one.statements().items())[:_SHOWN]:
                console.print(f"  [dim]{share:5.2f}  {escape(text)}[/]", no_wrap=True, overflow="ellipsis")


def _is_service(one: CallFigures, part: str) -> bool:
    return part not in _PARTS and one.cpu_of(part) >= 0.02


def _median(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):,.0f}" if figures else ""
