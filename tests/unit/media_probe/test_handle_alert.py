"""What is done with an alert, whatever goes wrong on the way."""

from dataclasses import replace
from typing import Any

import pytest

from services.chassis.errors import Unavailable
from services.media_probe.adapters.memory.store import InMemoryVideoStore
from services.media_probe.application.alerts import GivenUp, HandleAlert, Settled
from services.media_probe.application.ports import Known
from services.media_probe.application.probe_places import ProbePlaces
from services.media_probe.application.prober import Outcome
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import Alert, Effort, Facts, State, Video

FACTS = Facts(640, 480, 640, 480, 0, "h264", "mp4", None, 25.0)
ALERT = Alert("event-1", "cam-1", "/videos/a.mp4", 1.7e9, "store-1", "1")


class World:
    """Store, prober and progress in one, of which a step may raise."""

    def __init__(self, broken: str = "", error: Exception | None = None) -> None:
        self.store = InMemoryVideoStore()
        self.outcome = Outcome(Effort(16_384, 1), facts=FACTS)
        self.probes = 0
        self._broken, self._error = broken, error or ValueError("cannot convert float NaN to integer")

    def _step(self, name: str) -> None:
        if name == self._broken:
            raise self._error

    async def known(self, alert: Alert) -> Known:
        self._step("known")
        return await self.store.known(alert)

    async def started(self, alert: Alert, attempt: int, version: int) -> None:
        self._step("started")

    async def probe(self, video: str) -> Outcome:
        self.probes += 1
        self._step("probe")
        return self.outcome

    async def record(self, alert: Alert, row: Video) -> bool:
        if row.facts is not None:
            self._step("record")
        return await self.store.record(alert, row)

    async def handle(self, alert: Alert) -> object:
        parts: Any = self
        return await HandleAlert(parts, parts, parts, ProbePlaces(1), max_attempts=3)(alert)

    def origin(self, video: str) -> str:
        return "http://videos.example"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("known", ""),
        ("started", ""),
        ("probe", "the probe failed (ValueError)"),
        ("record", "what was found cannot be stored (ValueError)"),
    ],
)
async def test_no_alert_is_lost_by_what_nobody_has_foreseen(step: str, message: str) -> None:
    world = World(step)
    verdict = await world.handle(ALERT)
    row = await world.store.get(ALERT.uid)
    assert row is not None
    if message:
        assert (row.state, row.failure, row.message, row.facts) == (State.FAILED, Failure.CRASHED, message, None)
        assert verdict == GivenUp(f"CRASHED: {message}")
    else:
        assert (row.state, row.facts, verdict) == (State.PROBED, FACTS, Settled())


@pytest.mark.parametrize("step", ["known", "started", "probe", "record"])
async def test_what_passes_by_itself_is_left_to_another_attempt(step: str) -> None:
    world = World(step, Unavailable("the database is away"))
    with pytest.raises(Unavailable):
        await world.handle(ALERT)
    assert await world.store.get(ALERT.uid) is None


async def test_an_old_report_changes_nothing_that_a_later_one_has_found() -> None:
    """Failed, then reported again and probed; then the dead letter of the first report comes back."""
    world = World()
    world.outcome = Outcome(Effort(), error=ProbeFailed(Failure.NOT_FOUND, "there is no such video"))
    assert await world.handle(ALERT) == GivenUp("NOT_FOUND: there is no such video")
    back = replace(ALERT, delivery="7")
    await world.store.retry(ALERT.uid, "event-2")
    assert await world.handle(back) == Settled()  # the later one is still to be probed
    missing, world.outcome = world.outcome, Outcome(Effort(), facts=FACTS)
    assert await world.handle(replace(ALERT, event_id="event-2", delivery="2")) == Settled()
    probes, world.outcome = world.probes, missing
    assert await world.handle(back) == Settled()
    assert world.probes == probes
    row = await world.store.get(ALERT.uid)
    assert row is not None
    assert (row.state, row.facts, row.event_id) == (State.PROBED, FACTS, "event-2")


async def test_a_dead_letter_without_a_later_report_is_probed_again() -> None:
    world = World()
    found, world.outcome = world.outcome, Outcome(Effort(), error=ProbeFailed(Failure.NOT_FOUND, "gone"))
    await world.handle(ALERT)
    world.outcome = found
    assert await world.handle(replace(ALERT, delivery="7")) == Settled()
    row = await world.store.get(ALERT.uid)
    assert row is not None
    assert row.state is State.PROBED
