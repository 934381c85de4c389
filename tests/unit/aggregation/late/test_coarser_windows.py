"""Windows of every step say the same, whatever has happened to the readings below them."""

import random
from itertools import pairwise

import pytest

from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE
from services.aggregation.domain.windows.span_statistics import spans
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor

RULES = Rules(lateness=3 * DAY)
MIDNIGHT = T0 - T0 % DAY
STEP = 5 * MINUTE


def listed(bench: Bench, step: int) -> dict[int, float]:
    """Start of each window, and its consumption."""
    info, end = bench.store.info(1), MIDNIGHT + 2 * DAY
    pieces = bench.store.pieces([info], MIDNIGHT - DAY, end, bench.rules.steps.index(step))
    return {one.start: one.statistics.consumption or 0.0 for one in spans([info], pieces, MIDNIGHT - DAY, end, step)}


def consistent(bench: Bench) -> None:
    """Each window is the sum of those of the finest step in it, and nothing is to be mended. (Values are whole.)"""
    fine = listed(bench, RULES.steps[0])
    for step in RULES.steps[1:]:
        sums: dict[int, float] = {}
        for start, amount in fine.items():
            sums[start - start % step] = sums.get(start - start % step, 0.0) + amount
        assert listed(bench, step) == pytest.approx(sums, rel=0, abs=1e-2), step
    before = {step: listed(bench, step) for step in RULES.steps}
    assert bench.recompute(1).changed == 0
    for step, windows in before.items():
        assert listed(bench, step) == pytest.approx(windows, rel=0, abs=1e-2), step


def odd_course(rnd: random.Random) -> list[float]:
    """A meter with spikes, zeros, wrong units, restarts, in Wh."""
    level, found = rnd.choice([0, 1000, 50_000, 1_000_000, 50_000_000]), list[float]()
    for _ in range(rnd.randint(20, 40)):
        level += rnd.choice([0, 10, 100, 100, 100, 1000])
        odd = rnd.random()
        value = level
        if odd < 0.08:
            value = 0
        elif odd < 0.12:
            value = level * 109 // 100
        elif odd < 0.15:
            value = level * 1000
        elif odd < 0.18:
            value = max(level - 100, 0)
        elif odd < 0.20:
            level = value = rnd.choice([0, 3000, level * 2])
        elif odd < 0.22:
            value = level // 1000
        found.append(float(value))
        while rnd.random() < 0.4 and value != level:
            found.append(float(value + rnd.choice([0, 0, 100])))
    return found[:45]


def in_batches(arrivals: list[Arrival], rnd: random.Random) -> list[list[Arrival]]:
    """Out of order within some width, cut at random."""
    width, sent = rnd.choice([1, 5, 11]), list[Arrival]()
    for first in range(0, len(arrivals), width):
        part = arrivals[first : first + width]
        rnd.shuffle(part)
        sent += part
    batches: list[list[Arrival]] = []
    while sent:
        size = rnd.choice([1, 1, 2, 3, 8])
        batches.append(sent[:size])
        sent = sent[size:]
    return batches


def test_one_value_far_too_high_hides_nothing_beside_it() -> None:
    """10^11 Wh in an hour: a change of 100 Wh in the same hour is one."""
    values = [
        *(50001000, 50001100, 100002400, 100002500, 100002600, 0, 100003700, 100003800, 100003900, 100004900),
        *(100005000, 100005010, 100005110000, 100005110000, 0, 100005310, 109006878, 109006978, 100006410, 109006987),
        *(109006987, 100007, 100107, 100107, 100006610, 100006710, 100006810, 100006810, 100006910, 100007910),
    ]
    arrivals = [(0, MIDNIGHT + (at - 1) * STEP, float(value)) for at, value in enumerate(values)]
    bounds = (0, 1, 3, 11, 19, 22, 24, 26, 28, 30)
    cut = [arrivals[first:last] for first, last in pairwise(bounds)]
    meters = [Bench(RULES, [descriptor(0, Kind.COUNTER, 0)]) for _ in range(2)]
    for meter, batches in zip(meters, (cut, [arrivals]), strict=True):
        for batch in batches:
            meter.feed(batch)
        consistent(meter)
    assert listed(meters[0], HOUR) == pytest.approx(listed(meters[1], HOUR), rel=0, abs=1e-2)


def test_what_somebody_decides_before_midnight_is_followed_beyond_it() -> None:
    """The decided reading and those after it were none that counted: nothing changes before midnight, much after."""
    early = (1100, 1100, 1110, 0, 1310000, 1310, 1410, 1510, 1610, 1863, 1710, 1810, 2081)
    values = (*early, 2081, 2190, 2110, 3110, 3110, 3110, 0, 0, 100, 0, 3000, 3100, 3200, 3300)
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, STEP)])
    for at, value in enumerate(values):
        bench.feed([(0, MIDNIGHT + (at - len(early)) * STEP, float(value))])
    bench.fall_quiet()
    consistent(bench)
    assert (1, MIDNIGHT - STEP) in bench.store.corrections
    bench.decide(1, MIDNIGHT - STEP, Decision("GLITCH"))
    consistent(bench)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(60))
def test_every_step_says_the_same_whatever_is_judged_otherwise_or_amended(seed: int) -> None:
    rnd = random.Random(seed)
    values = odd_course(rnd)
    arrivals = [(0, MIDNIGHT + (at - len(values) // 2) * STEP, value) for at, value in enumerate(values)]
    meter = descriptor(0, Kind.COUNTER, rnd.choice([0, STEP]))
    bench, whole = Bench(RULES, [meter]), Bench(RULES, [meter])
    for batch in in_batches(list(arrivals), rnd):
        bench.feed(batch)
        if rnd.random() < 0.1:
            bench.fall_quiet()
        if rnd.random() < 0.1:
            bench.reopen()
    bench.fall_quiet()
    consistent(bench)
    whole.feed(arrivals)
    whole.fall_quiet()
    # (How long a segment may be follows from the order of arrival where the interval is estimated.)
    for step in RULES.steps if meter.interval else ():
        assert listed(bench, step) == pytest.approx(listed(whole, step), rel=0, abs=1e-2), step
    for _ in range(4):
        time, what = rnd.choice(arrivals)[1], rnd.random()
        if what < 0.3:
            bench.amend(1, time, None)
        elif what < 0.5:
            bench.amend(1, time, rnd.choice(values))
        elif corrections := sorted(bench.store.corrections):
            kind = rnd.choice(["GLITCH", "RESET", "IGNORE", "VALUE"])
            bench.decide(1, rnd.choice(corrections)[1], Decision(kind, rnd.choice(values) if kind == "VALUE" else 0.0))
        consistent(bench)
    again = bench.store.corrections.copy()
    bench.recompute(1)
    assert bench.store.corrections == again
