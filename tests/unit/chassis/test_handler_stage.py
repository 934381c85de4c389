"""The stage around every handler: what it counts, and that no handler goes without it."""

import asyncio
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.chassis.errors import Unavailable
from services.chassis.handler_stage import HandlerReport, HandlerStage, class_bound, class_of, stage_of

SERVICES = Path(__file__).parents[3] / "services"


async def outcomes(*given: Exception | None) -> list[Exception | None]:
    return list(given)


async def failing(error: BaseException) -> None:
    raise error


async def test_it_counts_messages_by_their_outcomes_and_calls_by_their_time() -> None:
    stage = HandlerStage("tests/counting")
    bad = ValueError("bad")
    assert await stage.run(3, outcomes(None, bad, None)) == [None, bad, None]
    assert stage.report().last_error == "ValueError: bad"
    with pytest.raises(ValueError, match="worse"):
        await stage.run(1, failing(ValueError("worse")))
    report = stage.report()
    assert (report.processed, report.failed, report.calls) == (2, 2, 2)
    assert report.last_error == "ValueError: worse"
    assert report.last_error_at is not None
    assert report.since <= report.last_error_at <= datetime.now(UTC)
    assert 0 < report.mean <= report.slowest
    assert sum(report.classes.values()) == 2


async def test_many_that_fail_together_count_when_each_is_handled_alone() -> None:
    stage = HandlerStage("tests/together")
    with pytest.raises(ValueError, match="one of them"):
        await stage.run(5, failing(ValueError("one of them")))
    assert (stage.report().failed, stage.report().calls) == (0, 1)
    with pytest.raises(Unavailable):
        await stage.run(5, failing(Unavailable("away")))
    assert (stage.report().failed, stage.report().calls) == (5, 2)


async def test_a_call_that_is_cancelled_counts_for_nothing() -> None:
    stage = HandlerStage("tests/cancelled")
    with pytest.raises(asyncio.CancelledError):
        await stage.run(1, failing(asyncio.CancelledError()))
    assert stage.report().calls == 0


async def test_a_line_in_the_log_for_every_hundred_messages() -> None:
    stage = HandlerStage("tests/summing")
    with capture_logs() as logs:
        for place in range(250):
            stage.observe(0.001, processed=place % 10 != 0, failed=place % 10 == 0, error="x" * (place % 10 == 0))
    lines = [line for line in logs if line["event"] == "handler.summary"]
    assert [(line["messages"], line["processed"], line["failed"]) for line in lines] == [(100, 90, 10)] * 2
    assert lines[0]["mean_ms"] == 1.0


@given(seconds=st.lists(st.floats(1e-6, 900), min_size=1, max_size=60))
def test_percentiles_are_at_most_a_tenth_too_high_and_merging_loses_nothing(seconds: list[float]) -> None:
    one, other, whole = (HandlerStage(f"tests/{name}") for name in ("one", "other", "whole"))
    for place, each in enumerate(seconds):
        (one if place % 2 else other).observe(each, processed=1)
        whole.observe(each, processed=1)
    right = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    found = whole.report().percentile(0.95)
    assert right <= found * (1 + 1e-9)
    assert found <= max(right * 1.1, class_bound(0)) * (1 + 1e-9)
    merged = one.report().merged(other.report())
    assert merged.percentile(0.95) == found
    assert merged.classes == whole.report().classes
    assert (merged.processed, merged.calls) == (len(seconds), len(seconds))
    assert math.isclose(merged.seconds, sum(seconds))


def test_the_later_error_is_the_last_one_of_both() -> None:
    now = datetime.now(UTC)
    one = HandlerReport(handler="h", since=now, last_error="early", last_error_at=now)
    other = HandlerReport(handler="h", since=now - timedelta(1), last_error="late", last_error_at=now + timedelta(1))
    none = HandlerReport(handler="h", since=now + timedelta(2))
    assert one.merged(other).merged(none).last_error == "late"
    assert none.merged(one).last_error == "early"
    assert one.merged(other).since == now - timedelta(1)


@given(st.floats(0, 1e6))
def test_a_time_is_in_the_smallest_class_that_holds_it(seconds: float) -> None:
    number = class_of(seconds)
    assert number == 200 or class_bound(number) >= seconds * (1 - 1e-9)
    assert number == 0 or class_bound(number - 1) < seconds


def test_a_handler_has_one_stage_in_a_process() -> None:
    assert stage_of("tests/same") is stage_of("tests/same")


# Who takes messages from the broker: handlers of `Consumer` and `BatchConsumer` run in their stages, the partitions'
# worker and the answers bring their own. Live streams hand on what passes, and handle nothing.
_TAKERS = {
    "aggregation/adapters/nats/window_feed.py": "",
    "chassis/nats/answers.py": "stage_of",
    "chassis/nats/handler_reports.py": "",
    "chassis/nats/pull_source.py": "",
}


def test_no_handler_of_a_service_bypasses_its_stage() -> None:
    takers = {
        str(path.relative_to(SERVICES)): path.read_text()
        for path in SERVICES.rglob("*.py")
        if re.search(r"\.subscribe\(", path.read_text()) and "cli" not in path.relative_to(SERVICES).parts
    }
    assert set(takers) == set(_TAKERS)
    assert all(stage in takers[name] for name, stage in _TAKERS.items())
    pulling = {str(path.relative_to(SERVICES)) for path in SERVICES.rglob("*.py") if "PullSource(" in path.read_text()}
    assert pulling == {"chassis/nats/consumer.py", "chassis/nats/batch_reader.py"}
    readers = {
        str(path.relative_to(SERVICES)) for path in SERVICES.rglob("*.py") if "open_batch_reader(" in path.read_text()
    }
    assert readers == {"chassis/nats/batch_reader.py", "aggregation/adapters/nats/reading_lane.py"}
    assert "self._stage.run(" in (SERVICES / "aggregation/application/partition/worker.py").read_text()
    assert all(
        "self._stage.run(" in (SERVICES / f"chassis/nats/{name}.py").read_text()
        for name in ("consumer", "batch_consumer")
    )
