"""Checks that cannot harm each other: each is bounded in time, and one that raises or hangs concerns no other."""

import asyncio
import enum
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from services.cli.runtime.errors import RuntimeProblem, describe

_FAREWELL_SECONDS = 0.5
T = TypeVar("T")


class Verdict(enum.StrEnum):
    """What a check comes to."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen, and what the operator can do about it; a check that is OK advises nothing."""

    verdict: Verdict
    seen: str
    advice: str = ""


def ok(seen: str) -> Outcome:
    """Nothing is to be mended."""
    return Outcome(Verdict.OK, seen)


def warning(seen: str, advice: str) -> Outcome:
    """It works, and may not tomorrow, or cannot be seen from here."""
    return Outcome(Verdict.WARNING, seen, advice)


def skipped(seen: str) -> Outcome:
    """It was not looked at."""
    return Outcome(Verdict.SKIPPED, seen)


def failed(seen: str, advice: str) -> Outcome:
    """It does not work."""
    return Outcome(Verdict.FAILED, seen, advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look. `after` names a check without which this one can see nothing: it is skipped unless that went well."""

    name: str
    looks_at: str
    look: Callable[[], Awaitable[Outcome]]
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check has come to."""

    check: str
    looked_at: str
    verdict: Verdict
    seen: str
    advice: str
    seconds: float
    hung: bool = False
    """It has not come to an end, and may go on beside us."""


async def examine(checks: Sequence[Check], within: timedelta) -> list[Finding]:
    """What all checks come to, in their order. They are made side by side, and each takes `within` at most, from when
    what it comes after has come to an end."""
    made: dict[str, asyncio.Task[Finding]] = {}
    for check in checks:
        before = made.get(check.after)
        made[check.name] = asyncio.create_task(_find(check, before, within), name=f"check {check.name}")
    return list(await asyncio.gather(*made.values()))


async def _find(check: Check, before: "asyncio.Task[Finding] | None", within: timedelta) -> Finding:
    if before is not None and (await asyncio.shield(before)).verdict in {Verdict.FAILED, Verdict.SKIPPED}:
        return _finding(check, skipped(f"not looked at, as {check.after!r} is not well"), 0.0)
    begun = time.monotonic()
    task = asyncio.ensure_future(check.look())
    done, _ = await asyncio.wait([task], timeout=within.total_seconds())
    if not done:
        task.cancel()
        hung = not (await asyncio.wait([task], timeout=_FAREWELL_SECONDS))[0]
        outcome = failed(
            f"no answer within {within.total_seconds():g} s",
            "see whether a firewall or a network policy drops what is sent there; --within gives it longer",
        )
        return _finding(check, outcome, time.monotonic() - begun, hung=hung)
    return _finding(check, _outcome(task), time.monotonic() - begun)


def _outcome(task: "asyncio.Future[Outcome]") -> Outcome:
    try:
        return task.result()
    except RuntimeProblem as problem:
        return failed(problem.message, "")
    except Exception as error:
        # One that breaks shows nothing of the deployment; the others go on.
        return failed(f"it could not be looked at: {describe(error)}", "")


def _finding(check: Check, outcome: Outcome, seconds: float, *, hung: bool = False) -> Finding:
    return Finding(
        check=check.name,
        looked_at=check.looks_at,
        verdict=outcome.verdict,
        seen=outcome.seen,
        advice=outcome.advice,
        seconds=seconds,
        hung=hung,
    )


async def in_thread(call: Callable[[], T]) -> T:
    """The result of a call that may block for ever, as on a file system that is gone: no end waits for its thread."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if not result.done():
            if error is None:
                result.set_result(value)  # pyright: ignore[reportArgumentType] - the value, where there is no error
            else:
                result.set_exception(error)

    def run() -> None:
        try:
            outcome: tuple[T | None, Exception | None] = call(), None
        except Exception as error:
            outcome = None, error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await result
