"""The table of `docs/counters.md`: what each policy books of the corpus of meters, and what others would.

`python -m tests.support.aggregation.counter_table` writes it anew.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.counters.meter_row import no_meters
from services.aggregation.domain.counters.policy import CounterRules, Policy, counting
from services.aggregation.domain.series import Kind
from tests.support.aggregation.meters import METERS, MeterCase
from tests.support.aggregation.partition import T0

PAGE: Final = Path(__file__).parents[3] / "docs" / "counters.md"
BEGIN: Final = "<!-- The table is written by `make counter-table`. -->\n"
END: Final = "<!-- End of the table. -->\n"


def booked(case: MeterCase, rules: CounterRules) -> float:
    """The consumption of all readings under these rules."""
    readings = case.readings
    times = np.array([time for time, _ in readings], np.int64) + T0
    values = np.array([value for _, value in readings], np.float64)
    alone = np.zeros(len(times), np.int64)
    found = increases(np.array([Kind.COUNTER]), counting([rules]), no_meters(1), alone, times, values)
    assert found is not None
    return float(found.amount.sum())


def home_assistant(values: Sequence[float]) -> float:
    """`total_increasing`: a value below 90 % of the one before is a reset, after which counting starts at 0; negative
    ones are passed over. (recorder of the sensor integration: `reset_detected`, `compile_statistics`.)"""
    known = [value for value in values if value >= 0]
    return sum(after if after < 0.9 * before else after - before for before, after in pairwise(known))


def any_fall(values: Sequence[float]) -> float:
    """Prometheus `increase` (without its extrapolation to the ends of the range) and Timescale `counter_agg`: any fall
    is a reset to 0."""
    return sum(after if after < before else after - before for before, after in pairwise(values))


def _columns(case: MeterCase) -> list[Callable[[], float]]:
    rules = [
        CounterRules(),
        CounterRules(Policy.RESET),
        CounterRules(Policy.ROLLOVER, case.register),
        CounterRules(Policy.REJECT),
    ]
    return [
        *(lambda one=one: booked(case, one) for one in rules),
        lambda: home_assistant(case.values),
        lambda: any_fall(case.values),
    ]


def _cell(value: float, true: float) -> str:
    text = f"{round(value, 3):,.10g}"
    return f"**{text}**" if abs(value - true) <= 1e-6 * max(1.0, abs(true)) else text


def table() -> str:
    """Right values are bold."""
    names = "HOLD_THEN_RESET (default)", "RESET", "ROLLOVER", "REJECT", "Home Assistant", "Prometheus, Timescale"
    lines = [f"| meter | true | {' | '.join(names)} |", "|---|" + "--:|" * (len(names) + 1)]
    for case in METERS:
        cells = [_cell(column(), case.true) for column in _columns(case)]
        name = case.name + (" ¹" if case.needs else "") + (" ²" if case.tie else "")
        lines.append(f"| {name} | {case.true:,.10g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
