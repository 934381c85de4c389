"""NATS JetStream: connection, topology, publishing, consuming, dead letters."""

from services.chassis.handler_stage import Outcomes
from services.chassis.nats.batch_consumer import BatchConsumer, BatchHandler
from services.chassis.nats.batch_reader import BatchOptions, BatchReader, ConsumerLost, open_batch_reader
from services.chassis.nats.connection import NatsConnection, open_nats
from services.chassis.nats.consumer import Consumer, ConsumerOptions, Handler
from services.chassis.nats.dead_letters import DeadLetter, Failure, compose_dead_letter
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import Bundle, Encoded, Event, encode
from services.chassis.nats.publisher import Published, Publisher
from services.chassis.nats.retry_policy import Permanent, RetryAfter, RetryPolicy
from services.chassis.nats.topology import TopologyOptions, ensure_streams

__all__ = [
    "BatchConsumer",
    "BatchHandler",
    "BatchOptions",
    "BatchReader",
    "Bundle",
    "Consumer",
    "ConsumerLost",
    "ConsumerOptions",
    "DeadLetter",
    "Delivery",
    "Encoded",
    "Event",
    "Failure",
    "Handler",
    "NatsConnection",
    "Outcomes",
    "Permanent",
    "Published",
    "Publisher",
    "RetryAfter",
    "RetryPolicy",
    "TopologyOptions",
    "compose_dead_letter",
    "encode",
    "ensure_streams",
    "open_batch_reader",
    "open_nats",
]
