"""Takes video alerts from the stream, and tells of probes that begin."""

from datetime import timedelta

from services.chassis.nats import ConsumerOptions, Delivery, Permanent, Publisher, RetryAfter, RetryPolicy
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, ALERTS
from services.media_probe.adapters import events
from services.media_probe.adapters.postgres.store import CONSUMER
from services.media_probe.application.alerts import GivenUp, HandleAlert, TryAgain
from services.media_probe.domain.video import Alert
from tocsin.events.v1.alerts_pb2 import VideoAlertReported

SERVICE = "media_probe"


class StartedEvents:
    """The port Progress over JetStream."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def started(self, alert: Alert, attempt: int) -> None:
        """See the port."""
        await self._publisher.publish(events.started(alert, attempt))


class AlertHandler:
    """Gives alerts to the use case, and its verdicts to the consumer: nothing is acknowledged before its commit."""

    def __init__(self, handle: HandleAlert, retry: RetryPolicy) -> None:
        self._handle = handle
        self._retry = retry

    async def __call__(self, delivery: Delivery) -> None:
        message = delivery.decode(VideoAlertReported)
        alert = events.alert_of(message, event_id=delivery.id, delivery=delivery.place)
        verdict = await self._handle(alert)
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
        max_in_flight=concurrent,
        ack_wait=ack_wait,
        retry=retry,
        stop_budget=stop_budget,
    )
