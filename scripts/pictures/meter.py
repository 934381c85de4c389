"""What the service makes of each value of a meter."""

from dataclasses import dataclass

from services.aggregation.domain.counters.meter import Meter
from services.aggregation.domain.counters.meter_row import no_meters
from services.aggregation.domain.counters.policy import CounterRules
from services.aggregation.domain.times import MINUTE

IGNORED = {"GLITCH", "REJECTED", "REVOKED"}


@dataclass
class Judged:
    """One value. `total`: consumption that is known when it has come; `held`: a suspect that was believed later;
    `breaks`: the level jumped to it."""

    time: float
    value: float
    total: float
    accepted: bool = False
    held: bool = False
    breaks: bool = False
    correction: str = ""


def judge(readings: list[tuple[float, float]], rules: CounterRules) -> list[Judged]:
    """Times in minutes, ascending."""
    meter = Meter(0, rules, no_meters(1)[0])
    found: list[Judged] = []
    for place, (time, value) in enumerate(readings):
        meter.take(place, round(time * MINUTE), value)
        total = sum(one.amount for one in meter.accepted.values())
        found.append(Judged(time, value, total, held=place not in meter.accepted))
    for one in meter.corrections:
        found[[judged.time * MINUTE for judged in found].index(one.time)].correction = one.kind
    for place, one in enumerate(found):
        one.accepted = place in meter.accepted
        one.held = one.held and one.accepted
        one.breaks = one.correction in ("RESET", "ROLLOVER", "JUMP")
    return found
