"""Rules that change in the catalogue reach the series that are there, in the order of their revisions."""

from services.aggregation.domain.counters.policy import CounterRules, Policy, rules_of
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor

RULES = Rules(lateness=3 * HOUR)
HOLD, RESET, REJECT = CounterRules(), CounterRules(Policy.RESET), CounterRules(Policy.REJECT)
GLITCHES = [100.0, 101.0, 0.0, 102.0, 103.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def meter(number: int, rules: CounterRules = HOLD, revision: int = 1, *, own: bool = False) -> Descriptor:
    return descriptor(number, Kind.COUNTER)._replace(counting=rules, revision=revision, own=own)


def news(rules: CounterRules, revision: int, device: str = "", *, interval: int = 5 * SECOND) -> Descriptor:
    key = SeriesKey("", "", "temperature", device)
    return Descriptor(key, Kind.COUNTER, "K", interval, rules, bool(device), revision)


def sent(number: int, first: int = T0) -> list[Arrival]:
    return [(number, first + at * 5 * SECOND, value) for at, value in enumerate(GLITCHES)]


def known(bench: Bench) -> list[tuple[Policy, bool, int]]:
    """Rules, whose they are, and their revision: in the store, and (the first) in the engine."""
    rows = bench.processor.engine.states.rows
    found: list[tuple[Policy, bool, int]] = []
    for series_id, (_, one) in sorted(bench.store.series.items()):
        at = bench.processor.engine.states.index[series_id]
        assert rules_of(rows["counting"][at]) == one.counting
        assert rows["declared"][at] == one.interval
        found.append((one.counting.policy, one.own, one.revision))
    return found


def consumed(bench: Bench, series_id: int) -> float:
    windows = bench.store.windows.items()
    return sum(float(row["consumption"]) for (one, step, _), (_, row) in windows if (one, step) == (series_id, MINUTE))


def test_a_recomputation_uses_rules_that_came_without_a_reading() -> None:
    bench = Bench(RULES, [meter(0)])
    bench.feed(sent(0))
    bench.fall_quiet()
    by_the_default = consumed(bench, 1)
    bench.hear(news(REJECT, 2))
    assert bench.recompute(1).changed > 0
    bench.fall_quiet()
    assert by_the_default == 3 + 4
    assert consumed(bench, 1) == 3
    # Whoever takes over goes on from there, and hearing it once more changes nothing.
    bench.reopen()
    bench.hear(news(REJECT, 2))
    assert known(bench) == [(Policy.REJECT, False, 2)]
    assert bench.recompute(1).changed == 0


def test_rules_of_a_type_leave_those_of_devices_alone() -> None:
    bench = Bench(RULES, [meter(0), meter(1, REJECT, 1, own=True), meter(2)])
    bench.feed([arrival for number in range(3) for arrival in sent(number)])
    bench.hear(news(RESET, 2, interval=MINUTE))
    assert known(bench) == [(Policy.RESET, False, 2), (Policy.REJECT, True, 2), (Policy.RESET, False, 2)]
    # What is expected of a series is a matter of its type, and seen by readers at once.
    assert bench.processor.engine.states.rows["max_gap"].tolist() == [3 * MINUTE] * 3
    assert {state.max_gap for state in bench.store.states.values()} == {3 * MINUTE}
    bench.hear(news(REJECT, 3, "d0"), news(HOLD, 4, "d1")._replace(own=False))
    assert known(bench) == [(Policy.REJECT, True, 3), (Policy.HOLD_THEN_RESET, False, 4), (Policy.RESET, False, 2)]
    bench.hear(news(RESET, 5, "d9"), news(HOLD, 6)._replace(key=SeriesKey("", "", "water", "")))
    assert [revision for _, _, revision in known(bench)] == [3, 4, 2]


def test_readings_accepted_under_older_rules_do_not_turn_them_back() -> None:
    bench = Bench(RULES, [meter(0), meter(0, RESET, 2), meter(0, HOLD, 3), meter(0, HOLD, 0)])
    bench.feed(sent(0))
    bench.hear(news(RESET, 2))
    for stale in (0, 3):
        bench.feed([(stale, T0 + HOUR + stale * MINUTE, 200.0 + stale)])
        assert known(bench) == [(Policy.RESET, False, 2)]
    # Two replicas in one batch, in any order.
    bench.feed([(2, T0 + 2 * HOUR, 300.0), (1, T0 + 2 * HOUR + SECOND, 301.0)])
    assert known(bench) == [(Policy.HOLD_THEN_RESET, False, 3)]
    bench.reopen()
    bench.feed([(1, T0 + 3 * HOUR, 400.0)])
    assert known(bench) == [(Policy.HOLD_THEN_RESET, False, 3)]
    assert len(bench.store.counted[1]) == len(GLITCHES) + 5


def test_a_series_that_comes_with_the_change_has_it_too() -> None:
    bench = Bench(RULES, [meter(0)])
    bench.hear(news(REJECT, 2), arrivals=sent(0))
    assert known(bench) == [(Policy.REJECT, False, 2)]


def test_a_series_whose_first_reading_did_not_know_of_it_has_it_too() -> None:
    bench = Bench(RULES, [meter(0), meter(1), meter(2, RESET, 9)])
    bench.hear(news(HOLD, 2), news(REJECT, 3, "d1"), news(RESET, 4, interval=MINUTE))
    bench.feed([(number, T0, 1.0) for number in range(3)])
    assert known(bench) == [(Policy.RESET, False, 4), (Policy.REJECT, True, 4), (Policy.RESET, False, 9)]
    assert [one.interval for _, one in bench.store.series.values()] == [MINUTE, MINUTE, 5 * SECOND]


def test_what_a_device_is_known_for_stays() -> None:
    cautious = RESET._replace(cautious=True)
    bench = Bench(RULES, [meter(0, cautious)])
    bench.feed(sent(0))
    bench.hear(news(RESET, 2))
    (_, one) = bench.store.series[1]
    assert one.counting == cautious
    assert one.revision == 2


def test_series_of_before_revisions_keep_rules_that_may_be_their_own() -> None:
    bench = Bench(RULES, [meter(0, REJECT, 0, own=True), meter(0, RESET, 2)])
    bench.feed(sent(0))
    bench.hear(news(HOLD, 1))
    assert known(bench) == [(Policy.REJECT, True, 1)]
    bench.feed([(1, T0 + HOUR, 200.0)])
    bench.hear(news(HOLD, 3))
    assert known(bench) == [(Policy.HOLD_THEN_RESET, False, 3)]
