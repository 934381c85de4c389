"""What is done with a video alert: probe, record, and say what is to become of the message."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from services.chassis.errors import Aborted, Unavailable
from services.chassis.telemetry.logs import get_logger
from services.media_probe.application.ports import Known, Progress, VideoStore
from services.media_probe.application.probe_places import ProbePlaces
from services.media_probe.application.prober import Outcome, Prober
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import (
    Alert,
    Effort,
    State,
    Video,
    attempts_before,
    failed,
    probed,
    started_version,
)

log = get_logger(__name__)

_AWAY: Final = (Unavailable, Aborted)
"""What passes by itself: the alert is tried again."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The video may be probed later, after the backoff for `failures` and not before `retry_after`."""

    failures: int
    retry_after: timedelta | None
    reason: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The failure is recorded; the message belongs to the dead letters."""

    reason: str


class HandleAlert:
    """Probes the video of an alert. Doing it again for the same report, also after a crash at any point, has no second
    effect."""

    def __init__(
        self, store: VideoStore, prober: Prober, progress: Progress, places: ProbePlaces, *, max_attempts: int
    ) -> None:
        self._places = places
        self._store = store
        self._prober = prober
        self._progress = progress
        self._max_attempts = max_attempts

    async def __call__(self, alert: Alert, *, again: bool = False) -> Settled | TryAgain | GivenUp:
        """An error that nobody has foreseen is a reason like any other: no alert is lost by it. `again`: it is not the
        first attempt. Raises Unavailable when our own database, broker or workers do not answer."""
        async with self._places.place(self._prober.origin(alert.video), alert.store, again=again):
            return await self._handle(alert)

    async def _handle(self, alert: Alert) -> Settled | TryAgain | GivenUp:
        known = await self._known(alert)
        earlier = known.row
        if earlier is not None and earlier.later_than(alert):
            return Settled()
        if known.seen:
            return _fate(earlier) if earlier is not None else Settled()
        await self._tell(alert, attempts_before(alert, earlier) + 1, started_version(earlier))
        outcome = await self._probe(alert)
        if outcome.facts is not None:
            row = probed(alert, outcome.facts, outcome.effort, earlier)
        else:
            assert outcome.error is not None  # an outcome is one of the two
            row = failed(alert, outcome.error, outcome.effort, earlier, max_attempts=self._max_attempts)
        row = await self._record(alert, row)
        if row.state is State.RETRYING and outcome.error is not None:
            return TryAgain(row.attempts, outcome.error.retry_after, str(outcome.error))
        return _fate(row)

    async def _known(self, alert: Alert) -> Known:
        try:
            return await self._store.known(alert)
        except _AWAY:
            raise
        except Exception:
            # Recording sees to it that nothing has its effect twice.
            log.exception("alert not looked up", uid=alert.uid)
            return Known(None, seen=False)

    async def _tell(self, alert: Alert, attempt: int, version: int) -> None:
        try:
            await self._progress.started(alert, attempt, version)
        except _AWAY:
            raise
        except Exception:
            log.exception("start of a probe not told", uid=alert.uid)

    async def _probe(self, alert: Alert) -> Outcome:
        try:
            return await self._prober.probe(alert.video)
        except _AWAY:
            raise
        except Exception as error:
            log.exception("probe failed", uid=alert.uid, video=alert.video)
            return Outcome(Effort(), error=ProbeFailed(Failure.CRASHED, f"the probe failed ({type(error).__name__})"))

    async def _record(self, alert: Alert, row: Video) -> Video:
        """Records the row, or, where it cannot be stored as it is, that it cannot be."""
        try:
            await self._store.record(alert, row)
        except _AWAY:
            raise
        except Exception as error:
            log.exception("result not stored", uid=alert.uid, video=alert.video)
            message = f"what was found cannot be stored ({type(error).__name__})"
            row = replace(row, state=State.FAILED, facts=None, failure=Failure.CRASHED, message=message)
            await self._store.record(alert, row)
        return row


def _fate(row: Video) -> Settled | GivenUp:
    if row.state is State.FAILED and row.failure is not None:
        return GivenUp(f"{row.failure.value}: {row.message}")
    return Settled()
