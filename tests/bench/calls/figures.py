"""What was measured of a call."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.calls.costs import Counts


@dataclass
class CallFigures:
    """What was measured of one call. Rates are calls/s, latencies milliseconds, CPU milliseconds for a call."""

    title: str
    rates: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    twin_rates: list[float] = field(default_factory=list[float])
    twin_p99: list[float] = field(default_factory=list[float])
    cpu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    counted: int = 0
    """Calls behind `counts`; 0 when they were not counted."""
    counts: Counts = field(default_factory=Counts)

    @property
    def ratio(self) -> float | None:
        """Median of the ratios pair by pair; None without a twin."""
        pairs = list(zip(self.rates, self.twin_rates, strict=False))
        return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None

    def cpu_of(self, part: str) -> float:
        """Median over the runs."""
        return statistics.median(self.cpu.get(part, [0.0]))

    def per_call(self, count: int) -> float:
        """Of a count, the share of a call."""
        return count / self.counted

    def statements(self) -> dict[str, float]:
        """Statement -> how often for a call, those first that are most; what is seldom is left out."""
        return {
            text: share
            for text, count in self.counts.statements.most_common()
            if (share := round(self.per_call(count), 2)) >= 0.01
        }

    def note(self, run: Mapping[str, float], calls: int) -> None:
        """Adds the CPU of a run."""
        for part, seconds in run.items():
            self.cpu.setdefault(part, []).append(seconds * 1000 / calls)

    def content(self) -> dict[str, Any]:
        """All of it, for programs."""
        content: dict[str, Any] = {**asdict(self), "ratio": self.ratio}
        content["counts"] = {**content["counts"], "statements": self.statements()} if self.counted else None
        return content
