"""Tells the fault of a part from that of the machine, and lets one part at a time be restarted for its health."""

import time
from collections.abc import Callable
from datetime import timedelta

from services.cli.runtime.machine import Span

# What share of the time in which a part fails is held against it. Under load a part that hangs alone has to be found
# still; several on a starved machine only wait, though not for ever: they may hang on a machine that is never at ease.
_BEYOND_DOUBT = 1.0
_ALONE_STARVED = 2 / 3
_SEVERAL = 1 / 2
_SEVERAL_STARVED = 1 / 15
_CALM_SECONDS = 30.0


class Triage:
    """What the parts' judges know together. `notice` hears once that the machine is at fault, `eased` once that it is
    well again."""

    def __init__(
        self,
        notice: Callable[[str], None] = lambda _: None,
        *,
        eased: Callable[[str], None] = lambda _: None,
        turn: timedelta = timedelta(seconds=20),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble = ""
        """Why faults are taken for the machine's; empty while they are not."""
        self._notice, self._eased, self._clock = notice, eased, clock
        self._turn_seconds = turn.total_seconds()
        self._suspects: dict[str, bool] = {}
        self._turn: tuple[str, float] | None = None
        self._last_suspicion = 0.0

    def weigh(self, part: str, span: Span, *, suspect: bool, unhealthy: bool, known: bool) -> float:
        """The share of `span`, in which a part failed by what seems its own fault, that is held against it.

        `suspect`: it makes the machine suspect, too. `unhealthy`: it has failed for long enough to be told of. `known`:
        restarts have not mended it, so only on a starved machine it is one of several.
        """
        if not suspect:
            self.cleared(part)
            return _ALONE_STARVED if span.starved else _BEYOND_DOUBT
        self._suspects[part] = known
        self._last_suspicion = self._clock()
        others = [name for name, known in self._suspects.items() if name != part and (span.starved or not known)]
        if unhealthy and (span.starved or others):
            self._suspect_machine(span.starved or f"{', '.join(sorted([part, *others]))} fail at the same time")
        if others:
            return _SEVERAL_STARVED if span.starved else _SEVERAL
        return _ALONE_STARVED if span.starved else _BEYOND_DOUBT

    def cleared(self, part: str) -> None:
        """The part works, is being started, or fails by the fault of another."""
        self._suspects.pop(part, None)
        if self.trouble and not self._suspects and self._clock() - self._last_suspicion >= _CALM_SECONDS:
            self.trouble = ""
            self._eased("the machine gives the parts what they need again")

    def recovered(self, part: str) -> None:
        """The part works: it needs its turn no more."""
        self.cleared(part)
        if self._turn is not None and self._turn[0] == part:
            self._turn = None

    def take_turn(self, part: str) -> bool:
        """Whether the part may be restarted now. It has the turn until it works, or has had its time."""
        now = self._clock()
        if self._turn is not None and self._turn[0] != part and now < self._turn[1]:
            return False
        self._turn = part, now + self._turn_seconds
        return True

    def _suspect_machine(self, why: str) -> None:
        if not self.trouble:
            self._notice(
                f"the machine is taken to be at fault: {why}; parts that do not answer are given longer, and restarted "
                "one at a time"
            )
        self.trouble = why
