"""Attempts: one at one address, what the channel says to it, and what follows."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.ports.deliveries import Channel, Meter
from services.notification.domain.delivery import (
    NO_ENDPOINT,
    Decision,
    Endpoint,
    Failure,
    FailureKind,
    Outcome,
    UnknownOutcome,
    decide,
)
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName
from services.notification.domain.retry_schedule import RetrySchedule

log = get_logger(__name__)

_CRASHES = 10
"""Claims beyond the schedule after which a delivery that never reports an outcome is given up: it kills processes."""
_HANDLERS = {lane: "events" if lane is Lane.EVENT else f"notifications.{lane.lower()}" for lane in Lane}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOptions:
    """`notifications` and `events` are the retry schedules; an attempt ends after `timeout`. `unknown` is what to do
    where nobody knows whether a receiver took it: RESEND where a lane is not named."""

    notifications: RetrySchedule = field(default_factory=RetrySchedule)
    events: RetrySchedule = field(default_factory=RetrySchedule)
    timeout: timedelta = timedelta(seconds=30)
    unknown: Mapping[Lane, UnknownOutcome] = field(default_factory=dict[Lane, UnknownOutcome])


class Attempts:
    """Makes attempts through the channels that there are."""

    def __init__(
        self,
        channels: Mapping[ChannelName, Channel],
        options: AttemptOptions,
        meter: Meter,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._channels = channels
        self._options = options
        self._meter = meter
        self._randomness = randomness

    async def make(self, claimed: Claimed) -> Decision:
        """Attempts the delivery once, unless that is hopeless. Measured, and told in the log."""
        began = time.perf_counter()
        decision = await self._decide(claimed)
        error = "" if decision.failure is None else decision.failure.text
        self._meter.observe(_HANDLERS[claimed.lane], time.perf_counter() - began, error=error)
        _tell(claimed, decision)
        return decision

    async def _decide(self, claimed: Claimed) -> Decision:
        schedule = self._options.events if claimed.lane is Lane.EVENT else self._options.notifications
        unknown = claimed.unknown or self._options.unknown.get(claimed.lane, UnknownOutcome.RESEND)
        refused = self._refusal(claimed, schedule, unknown)
        repeat = refused is None and claimed.crashed
        if repeat:
            self._meter.repeated(_HANDLERS[claimed.lane])
            log.warning("delivery.repeated", delivery=claimed.id, reference=claimed.reference, lane=claimed.lane.value)
        outcome = refused if refused is not None else await self._send(claimed)
        return decide(
            outcome,
            failures=claimed.attempts + 1,
            schedule=schedule,
            unknown=unknown,
            repeat=repeat,
            randomness=self._randomness(),
        )

    @staticmethod
    def _refusal(claimed: Claimed, schedule: RetrySchedule, unknown: UnknownOutcome) -> Failure | None:
        """Why no attempt is made."""
        if claimed.blocked is not None:
            return claimed.blocked
        if claimed.crashed and unknown is UnknownOutcome.HOLD:
            return Failure(
                kind=FailureKind.PERMANENT,
                code="OUTCOME_UNKNOWN",
                message="a process ended during the attempt; the receiver may have taken it",
                unknown=True,
            )
        if claimed.claims > schedule.max_attempts + _CRASHES:
            return Failure(
                kind=FailureKind.PERMANENT,
                code="NO_OUTCOME",
                message=f"taken up {claimed.claims} times, and never an outcome",
            )
        return NO_ENDPOINT if claimed.endpoint is None else None

    async def _send(self, claimed: Claimed) -> Outcome:
        point = claimed.endpoint
        assert point is not None
        channel = self._channels.get(claimed.channel)
        if channel is None:
            return Failure(
                kind=FailureKind.PERMANENT,
                code="CHANNEL_NOT_CONFIGURED",
                message=f"there is no channel {claimed.channel}",
            )
        return await self._bounded(claimed, channel, point)

    async def _bounded(self, claimed: Claimed, channel: Channel, point: Endpoint) -> Outcome:
        try:
            async with asyncio.timeout(self._options.timeout.total_seconds()):
                return await channel.send(claimed.message, point)
        except TimeoutError:
            return Failure(
                kind=FailureKind.TRANSIENT,
                code="TIMEOUT",
                message="the attempt did not end in time",
                unknown=True,
                unanswered=True,
            )
        except Exception as error:
            log.exception("dispatcher.channel_defect", channel=claimed.channel, delivery=claimed.id)
            return Failure(kind=FailureKind.TRANSIENT, code="DEFECT", message=type(error).__name__)


def _tell(claimed: Claimed, decision: Decision) -> None:
    failure = decision.failure
    if failure is None:  # told when it is written down, many in one line
        return
    fields = {"delivery": claimed.id, "reference": claimed.reference, "channel": claimed.channel.value}
    if failure.critical:
        log.critical("delivery.operator_needed", code=failure.code, error=failure.message, **fields)
    if decision.wait is None:
        log.error("delivery.given_up", code=failure.code, attempts=claimed.attempts + 1, **fields)
    else:
        wait = round(decision.wait.total_seconds(), 3)
        log.warning("delivery.failed", code=failure.code, attempts=claimed.attempts + 1, wait=wait, **fields)
