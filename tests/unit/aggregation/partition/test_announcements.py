"""Announcements by columns against the same one by one: the statistics, and every byte of the events."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.application.partition.announcements import announce
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import DAY, HOUR, MINUTE, NEVER, SECOND
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.open_windows import EDGE, ClosedWindows
from services.aggregation.domain.windows.series_state import SeriesStates
from services.aggregation.domain.windows.statistics import Edge, Neighbours, Summary, statistics
from services.aggregation.domain.windows.summary import SUMMARY
from tocsin.events.v1.windows_pb2 import WindowClosed

STEPS = (MINUTE, 15 * MINUTE, HOUR, DAY)
RULES = Rules()

values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 1.0]), st.floats(-1e6, 1e6)
)
ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True)


@st.composite
def descriptors(draw: st.DrawFn) -> Descriptor:
    key = SeriesKey(draw(ids), draw(ids), draw(ids), draw(st.one_of(st.just(""), ids)))
    return Descriptor(key, draw(st.sampled_from(Kind)), draw(st.sampled_from(["", "K", "°C"])), 0)


@st.composite
def edges(draw: st.DrawFn, start: int, step: int) -> tuple[int, int, float]:
    if draw(st.booleans()):
        return NEVER, NEVER, 0.0
    since = draw(st.integers(start - 2 * step, start + step - 2))
    return since, draw(st.integers(since + 1, start + 2 * step)), abs(draw(st.floats(0, 1e9)))


@st.composite
def windows(draw: st.DrawFn, step: int) -> tuple[int, tuple[float, ...], int, tuple[int, float], tuple[int, float]]:
    start = draw(st.one_of(st.just(0), st.integers(0, 2**51 // step))) * step
    first = draw(st.integers(start, start + step - 1))
    last = draw(st.integers(first, start + step - 1))
    count = 1 if first == last else draw(st.integers(2, 10**6))
    covered = draw(st.integers(0, last - first))
    row = (
        *(count, draw(values), draw(values), draw(values), first, draw(values), last, draw(values), covered),
        *(draw(values) if covered else 0.0, draw(st.integers(0, last - first)), abs(draw(st.floats(0, 1e9)))),
        *draw(edges(start, step)),
        *(NEVER, 0.0, 0.0),
    )
    before = draw(st.one_of(st.just(NEVER), st.integers(max(start - 2 * step, 0), start))), draw(values)
    after = draw(st.one_of(st.just(NEVER), st.integers(start + step, start + 3 * step))), draw(values)
    return start, row, draw(st.integers(1, 2**31 - 1)), before, after


@given(st.data())
def test_columns_say_the_same_as_one_by_one(data: st.DataObject) -> None:
    step = data.draw(st.sampled_from(STEPS))
    known = data.draw(st.lists(descriptors(), min_size=1, max_size=4))
    found = data.draw(st.lists(windows(step), min_size=1, max_size=12))
    edge_after = [data.draw(edges(start, step)) for start, *_ in found]
    states = SeriesStates(RULES)
    for number, one in enumerate(known):
        interval = data.draw(st.sampled_from([0, SECOND, 10 * SECOND, HOUR]))
        states.add(number + 7, states.blank(int(one.kind), interval), 0.0)
    series = np.array([data.draw(st.integers(0, len(known) - 1)) for _ in found], np.int64)
    closed = ClosedWindows(
        step,
        series,
        np.array([one[0] for one in found], np.int64),
        np.array([one[1] for one in found], SUMMARY),
        np.array([one[2] for one in found], np.int64),
        np.array([one[3][0] for one in found], np.int64),
        np.array([one[3][1] for one in found]),
        np.array([one[4][0] for one in found], np.int64),
        np.array([one[4][1] for one in found]),
        np.array(edge_after, EDGE),
    )
    announcements = announce(
        Rules(announce_fine_within=2**60), states.rows, np.arange(7, 7 + len(known)), known, closed, 2**51
    )
    assert announcements is not None
    ones = announcements.one_by_one()
    for at, (one, (start, row, revision, before, after)) in enumerate(zip(ones, found, strict=True)):
        state = states.rows[series[at]]
        expected = statistics(
            Summary(*row),  # pyright: ignore[reportArgumentType]
            start,
            start + step,
            kind=int(state["kind"]),
            max_gap=int(state["max_gap"]),
            interval=int(state["interval"]),
            around=Neighbours(before, after, Edge(*edge_after[at])),
        )
        assert (one.step, one.start, one.revision, one.series_id) == (step, start, revision, series[at] + 7)
        assert repr(one.statistics) == repr(expected)
    encoder = WindowEncoder()
    assert encoder.bundle(announcements) == closed_bundle(ones)
    # What it remembers of the series says the same.
    assert encoder.bundle(announcements) == closed_bundle(ones)


def test_an_event_says_what_the_window_holds() -> None:
    known = Descriptor(SeriesKey("b", "r", "temperature", ""), Kind.GAUGE, "K", 10 * SECOND)
    engine = Engine(RULES)
    engine.states.add(3, engine.states.blank(int(known.kind), known.interval), 0.0)
    times = np.arange(0, 80 * SECOND, 10 * SECOND)
    changes = engine.apply(Readings(np.zeros(8, np.int64), times, np.arange(8.0)), 0.0)
    (closed,) = changes.closed
    found = announce(RULES, engine.states.rows, np.array([3]), [known], closed, 0)
    assert found is not None
    bundle = WindowEncoder().bundle(found)
    assert (bundle.subjects, bundle.ids) == (["tocsin.windows.v1.closed.b.r.temperature"], ["window-3-60-0-1"])
    assert (bundle.type, bundle.times) == ("tocsin.events.v1.WindowClosed", ["1970-01-01T00:01:00Z"])
    event = WindowClosed.FromString(bundle.payloads[0])
    assert (event.start.seconds, event.end.seconds, event.step.seconds) == (0, 60, 60)
    assert (event.count, event.min, event.max, event.mean) == (6, 0.0, 5.0, 2.5)
    assert (event.time_weighted_mean, event.covered_ratio, event.received_ratio) == (3.0, 1.0, 1.0)


def test_old_minutes_are_no_news() -> None:
    assert RULES.oldest_announced(MINUTE, HOUR) == HOUR - 10 * MINUTE
    assert RULES.oldest_announced(5 * SECOND, HOUR) is None
    for step in (*STEPS, 5 * SECOND):
        for end in (HOUR - 10 * MINUTE, HOUR - 10 * MINUTE - 1):
            oldest = RULES.oldest_announced(step, HOUR)
            assert RULES.announces(step, end, HOUR) == (oldest is not None and end >= oldest)
