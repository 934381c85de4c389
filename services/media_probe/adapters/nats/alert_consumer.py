"""Takes video alerts from the stream, and tells of probes that begin."""

from datetime import timedelta
from types import TracebackType
from typing import Self

from services.chassis.group_commit import GroupCommit
from services.chassis.nats import ConsumerOptions, Delivery, Permanent, Publisher, RetryAfter, RetryPolicy, encode
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, ALERTS
from services.media_probe.adapters import events
from services.media_probe.adapters.postgres.store import CONSUMER
from services.media_probe.application.alerts import GivenUp, HandleAlert, TryAgain
from services.media_probe.domain.video import Alert
from tocsin.events.v1.alerts_pb2 import VideoAlertReported

SERVICE = "media_probe"
_WAITING = 8


class StartedEvents:
    """The port Progress over JetStream: probes that begin at the same time are told together."""

    def __init__(self, publisher: Publisher) -> None:
        self._told = GroupCommit("starts", publisher.publish_side_by_side)

    async def __aenter__(self) -> Self:
        await self._told.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._told.__aexit__(kind, error, trace)

    async def started(self, alert: Alert, attempt: int, version: int) -> None:
        """See the port."""
        # Encoded here, where the trace of the alert is the current one.
        await self._told.submit(encode(events.started(alert, attempt, version), source=events.SOURCE))


class AlertHandler:
    """Gives alerts to the use case, and its verdicts to the consumer: nothing is acknowledged before its commit."""

    def __init__(self, handle: HandleAlert, retry: RetryPolicy) -> None:
        self._handle = handle
        self._retry = retry

    async def __call__(self, delivery: Delivery) -> None:
        message = delivery.decode(VideoAlertReported)
        alert = events.alert_of(message, event_id=delivery.id, delivery=delivery.place)
        verdict = await self._handle(alert, again=delivery.attempt > 1)
        if isinstance(verdict, TryAgain):
            backoff = self._retry.delay(verdict.failures)
            raise RetryAfter(max(backoff, verdict.retry_after or timedelta(0)), verdict.reason)
        if isinstance(verdict, GivenUp):
            raise Permanent(verdict.reason)


def consumer_options(
    *, concurrent: int, ack_wait: timedelta, retry: RetryPolicy, stop_budget: timedelta
) -> ConsumerOptions:
    """The durable consumer of alerts."""
    return ConsumerOptions(
        service=SERVICE,
        name=CONSUMER,
        stream=ALERTS,
        subjects=(ALERT_REPORTED_SUBJECT,),
        # Those who wait for a place, so that the ones behind them can be seen.
        max_in_flight=concurrent * _WAITING,
        ack_wait=ack_wait,
        retry=retry,
        stop_budget=stop_budget,
    )
