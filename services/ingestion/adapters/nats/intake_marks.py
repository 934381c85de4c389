"""Marks in the broker that say, second by second, that readings can be taken: of ingestion itself, and of the edge.

Whoever must know whether a sensor is silent, or was not let in, reads them with `last_write`.
"""

from services.chassis.nats import NatsConnection
from services.chassis.nats.broker_checks import durable_write, leave_mark
from services.chassis.nats.topology import EDGE


class IntakeMarks:
    """One round of marks for each call."""

    def __init__(self, nats: NatsConnection, service: str) -> None:
        self._nats = nats
        self._service = service
        self._asked_by_edge = False

    def asked_by_edge(self) -> None:
        """Envoy has reached the gateway, and the gateway this process."""
        self._asked_by_edge = True

    async def write(self) -> None:
        """The service's own mark; and that of the edge if it has asked since the last time. Raises Unavailable."""
        await durable_write(self._nats, self._service)
        asked, self._asked_by_edge = self._asked_by_edge, False
        if asked:
            # It says nothing of this service: a broker that refuses it, as one of an older set-up does, is no outage.
            await leave_mark(self._nats, EDGE)
