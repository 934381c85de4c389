"""Display sizes, and how a row changes with each attempt."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import (
    MAX_SIDE,
    Alert,
    Effort,
    Inspection,
    State,
    Video,
    attempts_before,
    derive,
    failed,
    probed,
)

ALERT = Alert("event-1", "u1", "/a.mp4", 1.5, "store")
FACTS = derive(Inspection(640, 360, "h264"), "mp4")


@pytest.mark.parametrize(
    ("seen", "size", "rotation"),
    [
        (Inspection(1920, 1080, "h264"), (1920, 1080), 0),
        (Inspection(1920, 1080, "h264", rotation=90), (1080, 1920), 90),
        (Inspection(1920, 1080, "h264", rotation=-90), (1080, 1920), 270),
        (Inspection(1920, 1080, "h264", rotation=180), (1920, 1080), 180),
        (Inspection(1920, 1080, "h264", rotation=-0.4), (1920, 1080), 0),
        (Inspection(720, 576, "mpeg4", sample_aspect=Fraction(16, 15)), (768, 576), 0),
        (Inspection(720, 480, "mpeg4", sample_aspect=Fraction(8, 9)), (640, 480), 0),
        (Inspection(720, 576, "mpeg4", rotation=90, sample_aspect=Fraction(64, 45)), (576, 1024), 90),
        (Inspection(720, 576, "mpeg4", sample_aspect=Fraction(1, 5000)), (720, 576), 0),
    ],
)
def test_display_size(seen: Inspection, size: tuple[int, int], rotation: int) -> None:
    facts = derive(seen, "mp4")
    assert (facts.width, facts.height) == size
    assert (facts.coded_width, facts.coded_height) == (seen.width, seen.height)
    assert facts.rotation == rotation


@given(
    st.integers(-10, 10**5),
    st.integers(-10, 10**5),
    st.floats(-1000, 1000),
    st.fractions(min_value=Fraction(1, 10**6), max_value=10**6),
    st.floats(allow_nan=True),
)
def test_whatever_a_file_claims_a_size_is_sane(
    width: int, height: int, rotation: float, aspect: Fraction, rate: float
) -> None:
    seen = Inspection(width, height, "x", rotation, aspect, timedelta(seconds=-1), rate)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        with pytest.raises(ProbeFailed, match="UNSUPPORTED"):
            derive(seen, "mp4")
        return
    facts = derive(seen, "mp4")
    assert 0 < facts.width <= 8 << 16
    assert 0 < facts.height <= 8 << 16
    assert facts.rotation in (0, 90, 180, 270)
    assert 0 <= facts.frame_rate <= 1000
    assert facts.duration is None


def test_a_stream_of_packets_does_not_tell_its_duration() -> None:
    seen = Inspection(640, 360, "h264", duration=timedelta(seconds=5))
    assert derive(seen, "mp4").duration == timedelta(seconds=5)
    assert derive(seen, "mpegts", tells_duration=False).duration is None


def test_passing_failures_are_retried_until_the_attempts_are_used() -> None:
    row: Video | None = None
    error = ProbeFailed(Failure.TIMEOUT, "slow", transient=True)
    states: list[State] = []
    for _ in range(3):
        row = failed(ALERT, error, Effort(100, 2, timedelta(seconds=1)), row, max_attempts=3)
        states.append(row.state)
    assert states == [State.RETRYING, State.RETRYING, State.FAILED]
    assert row is not None
    assert (row.attempts, row.effort.bytes_fetched, row.effort.requests) == (3, 300, 6)
    assert row.effort.took == timedelta(seconds=1)
    assert row.failure is Failure.TIMEOUT


def test_permanent_failures_fail_at_once() -> None:
    row = failed(ALERT, ProbeFailed(Failure.NOT_MEDIA, "no"), Effort(), None, max_attempts=9)
    assert (row.state, row.attempts) == (State.FAILED, 1)


def test_success_after_a_retry_clears_the_failure() -> None:
    error = ProbeFailed(Failure.UNREACHABLE, "502", transient=True)
    first = failed(ALERT, error, Effort(10, 1), None, max_attempts=3)
    row = probed(ALERT, FACTS, Effort(20, 1), first)
    assert (row.state, row.attempts, row.failure, row.message) == (State.PROBED, 2, None, "")
    assert row.effort.bytes_fetched == 30


def test_another_report_of_the_alert_counts_anew() -> None:
    error = ProbeFailed(Failure.UNREACHABLE, "502", transient=True)
    first = failed(ALERT, error, Effort(10, 1), None, max_attempts=3)
    again = replace(ALERT, event_id="event-2")
    assert attempts_before(ALERT, first) == 1
    assert attempts_before(again, first) == 0
    assert probed(again, FACTS, Effort(20, 1), first).effort.bytes_fetched == 20
