"""Takes dead letters out of their stream, where every service puts them, into the store."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import nats.errors
import nats.js.errors

from services.chassis import nats as chassis
from services.chassis.nats.dead_letters import parse_dead_letter
from services.chassis.nats.topology import DEAD_LETTERS, tenant_of_request
from services.chassis.telemetry.logs import get_logger
from services.chassis.telemetry.metrics import counter
from services.notification.adapters.nats.events import DELIVERY_HEADER, SERVICE, TENANT_HEADER
from services.notification.domain.dead_letter import DeadLetter, FailedAttempt, reason_class

log = get_logger(__name__)

OPTIONS = chassis.ConsumerOptions(
    service=SERVICE,
    name="dead_letters",
    stream=DEAD_LETTERS,
    max_in_flight=64,
    # A letter never becomes a letter about itself: it is tried until it is kept.
    retry=chassis.RetryPolicy(max_attempts=2**31, max_deliveries=2**31, cap=timedelta(minutes=1)),
)

_kept = counter("tocsin_dead_letters", "Dead letters of all services, by reason class.", ["service", "reason"])

Keep = Callable[[Sequence[DeadLetter]], Awaitable[int]]


class DeadLetterIntake:
    """The handler of the stream."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    async def __call__(self, deliveries: Sequence[chassis.Delivery]) -> Sequence[Exception | None]:
        """Keeps all of them, or none."""
        letters = [_letter(delivery) for delivery in deliveries]
        await self._keep(letters)
        for letter in letters:
            _kept.labels(letter.service, letter.reason_class.lower()).inc()
        return [None] * len(deliveries)


async def clear(connection: chassis.NatsConnection) -> None:
    """Removes from the stream what has been kept. What cannot be removed now is removed the next time."""
    stream = connection.names.stream(DEAD_LETTERS)
    try:
        consumer = await connection.js.consumer_info(stream, OPTIONS.durable)
        settled = consumer.ack_floor.stream_seq if consumer.ack_floor is not None else 0
        state = (await connection.js.stream_info(stream)).state
        if state.messages and state.first_seq <= settled:
            await connection.js.purge_stream(stream, seq=settled + 1)
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
        log.warning("dead_letters.not_cleared", error=repr(error))


def _letter(delivery: chassis.Delivery) -> DeadLetter:
    found = parse_dead_letter(delivery.sequence, delivery.headers, delivery.data)
    headers = {_plain(name): _plain(value) for name, value in found.headers.items()}
    about = headers.get(DELIVERY_HEADER) or headers.get("ce-id") or f"{found.original_stream}:{found.original_sequence}"
    return DeadLetter(
        name=delivery.headers.get("Nats-Msg-Id") or f"{delivery.place}:{delivery.published_at.isoformat()}",
        about=_plain(f"{found.service}/{found.consumer}/{about}")[:1000],
        service=_plain(found.service),
        consumer=_plain(found.consumer),
        subject=_plain(found.original_subject),
        type=headers.get("ce-type", ""),
        # A publisher speaks for its own tenant alone, whatever it has written into its headers.
        tenant=tenant_of_request(_plain(found.original_subject)) or headers.get(TENANT_HEADER, ""),
        reason_class=reason_class(found.error_type),
        reason=_plain(found.reason),
        attempts=min(found.attempts, 2**31 - 1),
        history=tuple(
            FailedAttempt(at=one.at, error_type=_plain(one.error_type), reason=_plain(one.reason))
            for one in found.history
        ),
        first_seen=found.first_seen,
        dead_at=found.failed_at,
        headers=headers,
        payload=found.payload,
        cut=found.cut,
    )


def _plain(text: str) -> str:
    """Whatever a service has written there, as text that can be stored."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
