"""Judges the health of a part: how long it has been failing, and when that calls for a restart."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from services.cli.runtime.errors import describe
from services.cli.runtime.machine import Span
from services.cli.runtime.part import Part, Unhealthy
from services.cli.runtime.triage import Triage

_FIRST_DELAY = 0.25
_MAX_DELAY = 30.0
LONGER_LOOK = 3


def restart_delay(failures: int) -> float:
    """Seconds to wait before the restart after the n-th failure in a row (from 1): 0.25, 0.5, 1, ... 30."""
    return min(_FIRST_DELAY * 2.0 ** min(failures - 1, 20), _MAX_DELAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """How often parts are looked at, and how long they may fail."""

    every: timedelta = timedelta(seconds=2)
    within: timedelta = timedelta(seconds=3)
    """What one look may take; of a part that is unhealthy already, `LONGER_LOOK` times as much."""
    unhealthy_after: timedelta = timedelta(seconds=5)
    """A part that has failed so long is unhealthy, and that is told."""
    restart_after: timedelta = timedelta(seconds=20)
    """A part that has failed so long by its own fault is restarted; twice as long after each restart in vain."""
    start_within: timedelta = timedelta(seconds=90)
    """As `restart_after`, for one that has just been started and has not been healthy yet."""
    longest: timedelta = timedelta(minutes=5)
    """The most that the two grow to."""
    recovered_after: timedelta = timedelta(seconds=60)
    """A part that stood so long has recovered: its restarts before count no more."""
    told_after: int = 3
    """Restarts in vain after which the operator is told that they do not help."""


class Judge:
    """What is known of one part's health. It keeps no clock: it is given spans, of which only those seconds count in
    which the supervisor itself ran."""

    def __init__(self, part: str, limits: HealthLimits, triage: Triage) -> None:
        self._part, self._limits, self._triage = part, limits, triage
        self.failing_for = 0.0
        """Seconds since the part was last well."""
        self.in_vain = 0
        """Restarts since it last was well for some time."""
        self._own_fault_for = 0.0
        self._well_for = 0.0

    @property
    def unhealthy(self) -> bool:
        """Whether it has failed for too long to be called healthy."""
        return self.failing_for >= self._limits.unhealthy_after.total_seconds()

    @property
    def longest_pause(self) -> float:
        """Seconds, at the most, until the next restart of a part that does not get well."""
        return self._limits.longest.total_seconds()

    @property
    def within(self) -> timedelta:
        """What the next look may take: before a part is restarted it is looked at longer."""
        return self._limits.within * LONGER_LOOK if self.unhealthy else self._limits.within

    def well(self, span: Span) -> None:
        """It was well, `span` after the last look."""
        self._triage.recovered(self._part)
        self.failing_for = self._own_fault_for = 0.0
        self._well_for += span.seconds
        if self._well_for >= self._limits.recovered_after.total_seconds():
            self.in_vain = 0

    def fails(self, span: Span, trouble: Unhealthy, *, well_founded: bool, starting: bool) -> bool:
        """It fails, `span` after the last look (or the beginning of this one, if it was well then). Whether it must be
        restarted.

        `well_founded`: everything that it stands on is healthy, so the fault is its own whatever it says.
        """
        self._well_for = 0.0
        if span.paused:
            # What it did not answer in its sleep is nobody's fault.
            self.failing_for = self._own_fault_for = 0.0
            return False
        self.failing_for += span.seconds
        own = trouble.own or well_founded
        if not own:
            self._own_fault_for = 0.0
            self._triage.cleared(self._part)
            return False
        patience = self._patience(trouble, starting=starting)
        if trouble.certain:
            self._own_fault_for += span.seconds
            return self._own_fault_for >= patience
        # What blames another may just know of it before we do.
        believed = trouble.own or self._own_fault_for >= self._limits.unhealthy_after.total_seconds()
        held_against_it = self._triage.weigh(
            self._part,
            span,
            suspect=believed and not starting,
            unhealthy=self.unhealthy,
            known=self.in_vain > 0,
        )
        self._own_fault_for += span.seconds * held_against_it
        return self._own_fault_for >= patience and self._triage.take_turn(self._part)

    def _patience(self, trouble: Unhealthy, *, starting: bool) -> float:
        if trouble.certain:
            return restart_delay(self.in_vain) if self.in_vain else 0.0
        first = self._limits.start_within if starting else self._limits.restart_after
        return min(first.total_seconds() * 2.0 ** min(self.in_vain, 20), self.longest_pause)

    def started(self) -> None:
        """It runs anew."""
        self.failing_for = self._own_fault_for = 0.0
        self._triage.cleared(self._part)

    def restarted(self) -> bool:
        """It is restarted for its health; whether the operator is to be told that this does not help."""
        self.in_vain += 1
        return self.in_vain == self._limits.told_after + 1


async def examine(part: Part, within: timedelta) -> Unhealthy | None:
    """Looks at the part once; what is wrong with it."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            await part.probe(within)
    except Unhealthy as trouble:
        return trouble
    except TimeoutError:
        return Unhealthy(f"does not answer within {within.total_seconds():g} s")
    except Exception as error:
        # It cannot be known to work; nor does it show that the part is at fault, and not the one who looks.
        return Unhealthy(f"it cannot be examined: {describe(error)}", own=False)
    return None
