"""How checks are made: side by side, bounded, none harming another; and what is said of clocks and ends."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from services.cli.doctor.certificates import until_outcome
from services.cli.doctor.check import Check, Outcome, Verdict, examine, failed, in_thread, ok
from services.cli.doctor.clock import clock_outcome
from services.cli.doctor.served_certificates import servers_of
from services.cli.runtime.errors import RuntimeProblem

BOUND = timedelta(seconds=0.2)


def check(name: str, look: Callable[[], Awaitable[Outcome]], after: str = "") -> Check:
    return Check(name=name, looks_at=f"the {name}", look=look, after=after)


async def good() -> Outcome:
    return ok("as it should be")


async def test_one_that_hangs_or_breaks_concerns_no_other() -> None:
    released = threading.Event()

    async def hangs() -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    async def blocks() -> Outcome:
        return await in_thread(lambda: ok(str(released.wait(60))))

    async def breaks() -> Outcome:
        raise KeyError("a bug")

    async def refuses() -> Outcome:
        raise RuntimeProblem("in words")

    begun = time.monotonic()
    checks = [check("hangs", hangs), check("blocks", blocks), check("breaks", breaks), check("refuses", refuses)]
    found = await examine([*checks, check("good", good)], BOUND)
    released.set()
    assert time.monotonic() - begun < 5
    assert [finding.check for finding in found] == ["hangs", "blocks", "breaks", "refuses", "good"]
    assert [finding.verdict for finding in found] == [*[Verdict.FAILED] * 4, Verdict.OK]
    assert found[0].seen == found[1].seen == "no answer within 0.2 s"
    assert found[2].seen == "it could not be looked at: KeyError: 'a bug'"
    assert found[3].seen == "in words"
    assert found[4].seconds < BOUND.total_seconds()
    assert not any(finding.hung for finding in found)


async def test_one_that_takes_no_end_is_left_behind_and_told() -> None:
    left = asyncio.Event()

    async def stubborn() -> Outcome:
        while not left.is_set():
            try:
                await left.wait()
            except asyncio.CancelledError:
                continue
        return ok("at last")

    found = await examine([check("stubborn", stubborn), check("good", good)], BOUND)
    assert [finding.hung for finding in found] == [True, False]
    left.set()


async def test_what_comes_after_one_that_failed_is_not_made() -> None:
    made: list[str] = []

    async def counted() -> Outcome:
        made.append("counted")
        return ok("seen")

    async def bad() -> Outcome:
        return failed("nothing listens", "start it")

    found = await examine([check("server", bad), check("tables", counted, after="server")], BOUND)
    assert [finding.seen for finding in found] == ["nothing listens", "not looked at, as 'server' is not well"]
    assert [finding.verdict for finding in found] == [Verdict.FAILED, Verdict.SKIPPED]
    found = await examine([check("server", good), check("tables", counted, after="server")], BOUND)
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.OK]
    assert made == ["counted"]


@pytest.mark.parametrize(
    ("told", "verdict", "said"),
    [
        (100.0, Verdict.OK, "0 ms behind this host (± 10 ms)"),
        (100.4, Verdict.OK, "400 ms ahead of this host (± 10 ms)"),
        (99.0, Verdict.WARNING, "1000 ms behind this host (± 10 ms)"),
        (106.0, Verdict.FAILED, "6000 ms ahead of this host (± 10 ms)"),
    ],
)
def test_clocks(told: float, verdict: Verdict, said: str) -> None:
    outcome = clock_outcome("PostgreSQL", told, 99.99, 100.01)
    assert outcome.verdict is verdict
    assert said in outcome.seen
    assert bool(outcome.advice) == (verdict is not Verdict.OK)


def test_a_slow_answer_accuses_no_clock() -> None:
    assert clock_outcome("NATS", 103.0, 97.0, 103.5).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("left", "verdict"),
    [(timedelta(days=30), Verdict.OK), (timedelta(days=3), Verdict.WARNING), (timedelta(0), Verdict.FAILED)],
)
def test_what_ends(left: timedelta, verdict: Verdict) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    outcome = until_outcome("CN=edge", now + left, "renew it", now=now)
    assert outcome.verdict is verdict
    assert "CN=edge" in outcome.seen


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("db.example:5432", [("db.example", 5432)]),
        ("nats://a:4222,tls://b,[::1]:4223/", [("a", 4222), ("b", 4222), ("::1", 4223)]),
        ("the local socket", []),
    ],
)
def test_addresses(text: str, servers: list[tuple[str, int]]) -> None:
    assert servers_of(text, 4222) == servers
