"""Catalogue, readings and payloads."""

import time
from datetime import timedelta

from services.chassis.app import Step
from services.chassis.nats import (
    Consumer,
    ConsumerOptions,
)
from services.chassis.nats.topology import PAYLOADS
from services.ingestion.adapters.grpc.catalogue import CatalogueServicer
from services.ingestion.adapters.grpc.payloads import PayloadServicer
from services.ingestion.adapters.grpc.readings import ReadingServicer
from services.ingestion.adapters.nats.counting_values import NatsCountingValues
from services.ingestion.adapters.nats.payloads import CONSUMER as PAYLOAD_CONSUMER
from services.ingestion.adapters.nats.payloads import IN_FLIGHT, RETRY, PayloadIntake
from services.ingestion.adapters.nats.priority_lane import JetStreamPriorityLane
from services.ingestion.adapters.nats.reading_lane import JetStreamReadingLane
from services.ingestion.adapters.postgres.idempotency import PostgresIdempotencyKeys
from services.ingestion.adapters.postgres.quarantine import PostgresQuarantine
from services.ingestion.application.catalogue import CatalogueDesk
from services.ingestion.application.payloads import Payloads
from services.ingestion.application.reading_group_commit import ReadingGroupCommit, ReadingGroupCommitOptions
from services.ingestion.application.readings import Readings
from services.ingestion.bootstrap.base import SERVICE, Base
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import add_CatalogueServiceServicer_to_server
from tocsin.ingestion.v1.payload_service_pb2_grpc import add_PayloadServiceServicer_to_server
from tocsin.ingestion.v1.reading_service_pb2_grpc import add_ReadingServiceServicer_to_server


def wire_catalogue(base: Base) -> None:
    """Sensor types, buildings, rooms, devices."""
    desk = CatalogueDesk(base.catalogue, base.directory)
    add_CatalogueServiceServicer_to_server(CatalogueServicer(desk), base.app.server.registrar)


def wire_group_commit(base: Base) -> ReadingGroupCommit:
    """The way of readings to JetStream; it empties itself after the server has stopped."""
    settings = base.settings
    group_commit = ReadingGroupCommit(
        JetStreamReadingLane(base.broker),
        NatsCountingValues(base.nats),
        ReadingGroupCommitOptions(
            partitions=settings.partitions,
            linger=settings.linger,
            max_batch_rows=settings.max_batch_rows,
            max_batch_bytes=settings.max_batch_size,
            max_pending_bytes=settings.max_pending,
            admission_timeout=settings.admission_timeout,
            queue_timeout=2 * settings.publish_timeout,
        ),
    )
    base.app.task("readings", group_commit.run())
    base.app.at_stop(Step.FINISH, "readings pending", group_commit.close, within=2 * settings.publish_timeout)
    return group_commit


def wire_readings(base: Base, group_commit: ReadingGroupCommit) -> PostgresIdempotencyKeys:
    """Canonical readings."""
    keys = PostgresIdempotencyKeys(base.database, base.settings.idempotency_lifetime)
    readings = Readings(base.directory, group_commit, keys, clock=clock, limits=base.limits)
    servicer = ReadingServicer(readings, stream_in_flight=base.settings.stream_in_flight)
    add_ReadingServiceServicer_to_server(servicer, base.app.server.registrar)
    return keys


def wire_payloads(base: Base, group_commit: ReadingGroupCommit) -> None:
    """Vendor payloads, over gRPC and from gateways that speak NATS, and the priority lane."""
    priority = JetStreamPriorityLane(base.broker)
    quarantine = PostgresQuarantine(base.database, limit=base.settings.quarantine_most)
    payloads = Payloads(base.directory, group_commit, priority, quarantine, clock=clock, limits=base.limits)
    add_PayloadServiceServicer_to_server(PayloadServicer(payloads), base.app.server.registrar)
    options = ConsumerOptions(
        service=SERVICE, name=PAYLOAD_CONSUMER, stream=PAYLOADS, max_in_flight=IN_FLIGHT, retry=RETRY
    )
    consumer = Consumer(base.nats, options, PayloadIntake(payloads).take, publisher=base.publisher)
    base.app.task("payloads", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12))


def clock() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000
