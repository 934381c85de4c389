"""Payloads of gateways that speak NATS: the stream PAYLOADS, on the subject `tocsin.payloads.v1.<format>`.

The gateway has been told that its payload is durable; what the payload is worth, it is not told. So whatever is wrong
with it, an unknown format among it, ends in the quarantine, where an operator finds it and replays it. A redelivery
changes nothing: the readings are the same ones, and the quarantine knows it by its place in the stream.
"""

from datetime import timedelta
from typing import Final

from services.chassis.ids import derived_id, is_id
from services.chassis.nats import Delivery, RetryPolicy
from services.ingestion.application.payloads import PayloadReceived, Payloads

CONSUMER: Final = "payloads"
IN_FLIGHT: Final = 256
"""As many at a time: their readings travel on in the same batches."""
RETRY: Final = RetryPolicy(cap=timedelta(seconds=10))
_SHOWN: Final = 100
"""Characters of a subject that are told."""


class PayloadIntake:
    """The handler of the consumer."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    async def take(self, delivery: Delivery) -> None:
        """Raises Unavailable (then it is delivered again)."""
        name, at = delivery.subject.rpartition(".")[2], delivery.published_at
        received = PayloadReceived(derived_id(at, delivery.place), name, delivery.data, at)
        if is_id(name):
            await self._payloads.take(received)
        else:
            await self._payloads.set_aside(received, f"the subject names no format: {name[:_SHOWN]}")
