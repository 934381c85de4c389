"""What the machine grants: whether the supervisor itself ran, and how long tasks waited for processor, memory and disk.

A part that does not answer while nobody is served says nothing of itself.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

_TICK_SECONDS = 0.25
# The share of a stretch of time in which somebody waited for the thing; memory hurts much sooner.
_MOST_WAITED: Mapping[str, float] = MappingProxyType({"cpu": 0.8, "memory": 0.2, "io": 0.8})
_WORDS: Mapping[str, str] = MappingProxyType({"cpu": "a processor", "memory": "memory", "io": "the disk"})
_MOST_HELD_UP = 0.2
_LEAST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time. `seconds` are those in which the supervisor ran; `starved` says what there was too little of,
    empty when of nothing; `paused`: the machine slept, or stood still for so long that it makes no difference."""

    seconds: float
    starved: str = ""
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Counters that only grow, all in seconds: the monotonic clock, the one that goes on while the machine sleeps, how
    long the supervisor was held up, and how long some task waited, by resource."""

    now: float
    with_sleep: float
    held_up: float = 0.0
    waited: Mapping[str, float] = field(default_factory=dict[str, float])

    def until(self, later: "Moment") -> Span:
        """The time between the two."""
        elapsed = later.now - self.now
        held_up = later.held_up - self.held_up
        slept = later.with_sleep - self.with_sleep - elapsed
        return Span(
            seconds=max(elapsed - held_up, 0.0),
            starved=self._starved(later, elapsed, held_up),
            paused=max(slept, held_up) >= _LEAST_PAUSE_SECONDS,
        )

    def _starved(self, later: "Moment", elapsed: float, held_up: float) -> str:
        if elapsed <= 0:
            return ""
        if held_up / elapsed >= _MOST_HELD_UP:
            return f"the supervisor itself was held up for {held_up:.1f} s"
        for name, most in _MOST_WAITED.items():
            share = (later.waited.get(name, 0.0) - self.waited.get(name, 0.0)) / elapsed
            if share >= most:
                return f"tasks waited for {_WORDS[name]} for {min(share, 1.0):.0%} of the time"
        return ""


class Machine:
    """The machine that we run on. `watch` has to run for `held_up` to be known."""

    def __init__(self) -> None:
        self._held_up = 0.0
        self._due = math.inf
        self._pressure = _pressure_files()

    def moment(self) -> Moment:
        """Now."""
        now = time.monotonic()
        return Moment(
            now=now,
            with_sleep=time.clock_gettime(time.CLOCK_BOOTTIME),
            # Also before the late tick has come: it may be behind the one who asks.
            held_up=self._held_up + max(now - self._due, 0.0),
            waited={name: max(map(_waited, files), default=0.0) for name, files in self._pressure.items()},
        )

    async def watch(self) -> NoReturn:
        """Measures how late the loop comes to what is due; endless."""
        try:
            while True:
                self._due = time.monotonic() + _TICK_SECONDS
                await asyncio.sleep(_TICK_SECONDS)
                self._held_up += max(time.monotonic() - self._due, 0.0)
        finally:
            self._due = math.inf


def _pressure_files() -> dict[str, list[Path]]:
    """The kernel's pressure stall information: of the machine, and of our control group, which may be throttled."""
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                group = group / line.removeprefix("0::").strip("/")
    found: dict[str, list[Path]] = {}
    for name in _MOST_WAITED:
        candidates = (Path("/proc/pressure") / name, group / f"{name}.pressure")
        found[name] = [path for path in candidates if _waited(path)]
    return found


def _waited(path: Path) -> float:
    """Seconds in which some task waited, since the machine started; 0 where the kernel does not tell."""
    try:
        some = path.read_text().split("\n", 1)[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2] or 0) / 1e6 if some.startswith("some") else 0.0
