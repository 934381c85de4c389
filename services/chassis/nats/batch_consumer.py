"""A durable consumer that hands many messages at a time to one handler: for effects that can be had together (one
transaction for many rows and inbox marks), where a message by itself is a small part of what its commit costs.

Batches are handled one after another, in the order in which the server delivers; a batch holds what has gathered while
the one before was handled, up to `max_in_flight` messages, and waits for nobody. One bad message harms nobody: the
handler tells the outcome of each, and where it raises instead, the batch is handled again message by message. Outcomes
settle their messages as those of a `Consumer` do (see `services.chassis.nats.settler`), in one sweep.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from opentelemetry import trace

from services.chassis.errors import Unavailable
from services.chassis.handler_stage import Outcomes
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.consumer import ConsumerOptions, PullConsumer
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import trace_context
from services.chassis.nats.publisher import Publisher
from services.chassis.telemetry.tracing import recording

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

BatchHandler = Callable[[Sequence[Delivery]], Awaitable[Outcomes]]
"""Handles all or, where it raises, none of them; the outcome of a message is None, or what a handler of a `Consumer`
would have raised about it. Must be idempotent, as every handler."""


class BatchConsumer(PullConsumer):
    """Runs one handler on one durable consumer, a batch at a time."""

    def __init__(
        self, connection: NatsConnection, options: ConsumerOptions, handler: BatchHandler, *, publisher: Publisher
    ) -> None:
        super().__init__(connection, options, publisher)
        self._handler = handler

    def _room(self) -> int:
        return 0 if self._in_flight else self._options.max_in_flight

    def _pieces(self, deliveries: Sequence[Delivery]) -> Iterable[Sequence[Delivery]]:
        return [deliveries] if deliveries else []

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        try:
            wanted = [delivery for delivery in deliveries if await self._settler.wanted(delivery)]
            for delivery, outcome in zip(wanted, await self._outcomes(wanted), strict=True):
                await self._settler.settle(delivery, outcome)
        except asyncio.CancelledError:
            for delivery in deliveries:
                if not delivery.settled:
                    await self._settler.hand_back(delivery)
            raise

    async def _outcomes(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        if not deliveries:
            return []
        try:
            return list(await self._handle(deliveries))
        except Exception as error:
            if isinstance(error, Unavailable) or len(deliveries) == 1:
                return [error] * len(deliveries)
            log.warning("batch.alone", consumer=self._options.label, messages=len(deliveries), error=repr(error))
        found: list[Exception | None] = []
        for delivery in deliveries:
            found += await self._outcomes([delivery])
        return found

    async def _handle(self, deliveries: Sequence[Delivery]) -> Outcomes:
        with tracer.start_as_current_span(
            f"{self._options.label} process",
            kind=trace.SpanKind.CONSUMER,
            links=list(_links(deliveries)),
            attributes={"messaging.system": "nats", "messaging.batch.message_count": len(deliveries)},
        ):
            return await self._stage.run(len(deliveries), self._judged(deliveries))

    async def _judged(self, deliveries: Sequence[Delivery]) -> Outcomes:
        outcomes = await self._handler(deliveries)
        if len(outcomes) != len(deliveries):
            raise RuntimeError(f"{len(deliveries)} messages have {len(outcomes)} outcomes")
        return outcomes


def _links(deliveries: Sequence[Delivery]) -> Iterable[trace.Link]:
    """To the traces that the messages belong to, where anybody reads them."""
    for delivery in deliveries if recording() else ():
        context = trace.get_current_span(trace_context(delivery.headers)).get_span_context()
        if context.is_valid:
            yield trace.Link(context)
