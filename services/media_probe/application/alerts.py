"""What is done with a video alert: probe, record, and say what is to become of the message."""

from dataclasses import dataclass
from datetime import timedelta

from services.media_probe.application.ports import Progress, VideoStore
from services.media_probe.application.prober import Prober
from services.media_probe.domain.video import Alert, State, Video, attempts_before, failed, probed


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

    def __init__(self, store: VideoStore, prober: Prober, progress: Progress, *, max_attempts: int) -> None:
        self._store = store
        self._prober = prober
        self._progress = progress
        self._max_attempts = max_attempts

    async def __call__(self, alert: Alert) -> Settled | TryAgain | GivenUp:
        """Raises Unavailable when our own database, broker or workers do not answer."""
        known = await self._store.known(alert)
        earlier = known.row
        if known.seen:
            return _fate(earlier) if earlier is not None and earlier.event_id == alert.event_id else Settled()
        await self._progress.started(alert, attempts_before(alert, earlier) + 1)
        outcome = await self._prober.probe(alert.video)
        if outcome.facts is not None:
            row = probed(alert, outcome.facts, outcome.effort, earlier)
        else:
            assert outcome.error is not None  # an outcome is one of the two
            row = failed(alert, outcome.error, outcome.effort, earlier, max_attempts=self._max_attempts)
        await self._store.record(alert, row)
        if row.state is State.RETRYING and outcome.error is not None:
            return TryAgain(row.attempts, outcome.error.retry_after, str(outcome.error))
        return _fate(row)


def _fate(row: Video) -> Settled | GivenUp:
    if row.state is State.FAILED and row.failure is not None:
        return GivenUp(f"{row.failure.value}: {row.message}")
    return Settled()
