"""Aggregation as processes of its own on real NATS and PostgreSQL, a feeder, and an independent recomputation."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from services.aggregation.bootstrap import SERVICE
from services.aggregation.domain.series import Descriptor, partition_of
from services.aggregation.settings import MIGRATIONS
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import connect
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.topology import EMPTIED_SUBJECT, readings_subject
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.postgres import Schemas
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import AggregationServiceStub
from tocsin.events.v1.readings_pb2 import ContainerEmptied, ReadingBatch, SensorTypeInfo, SeriesDescriptor

PARTITIONS = 8
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]
Row = tuple[Descriptor, int, float]
"""(series, event time, value)."""


def describe(series: Descriptor) -> SeriesDescriptor:
    """As messages describe it."""
    return SeriesDescriptor(
        building=series.key.building,
        room=series.key.room,
        sensor_type=series.key.sensor_type,
        device=series.key.device,
        kind=SeriesDescriptor.Kind.Name(int(series.kind)),
        unit=series.unit,
        expected_interval_us=series.interval,
        counter_policy=SeriesDescriptor.CounterPolicy.Name(int(series.counting.policy)),
        register_size=series.counting.register,
        max_increase_per_hour=series.counting.cap,
        rounding_ratio=series.counting.rounding_ratio,
        rounding_amount=series.counting.rounding_amount,
        own_counter_rules=series.own,
        rules_revision=series.revision,
        last_wins=series.last_wins,
    )


def batch(partition: int, rows: Sequence[Row]) -> ReadingBatch:
    """One message with these rows, in order."""
    series = list(dict.fromkeys(row[0] for row in rows))
    places = {one: at for at, one in enumerate(series)}
    return ReadingBatch(
        partition=partition,
        series=[describe(one) for one in series],
        series_index=[places[row[0]] for row in rows],
        event_time_us=[row[1] for row in rows],
        value=[row[2] for row in rows],
    )


@dataclass
class Replica:
    """One process of the service."""

    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    async def start(self) -> None:
        """Returns once it says SERVING."""
        told = len(self.log.read_text()) if self.log.exists() else 0
        self.port = free_port()
        environment = {**self.environment, "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{self.port}"}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.aggregation", env=environment, stdout=log, stderr=log
            )

        async def serving() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()
            return '"serving": true' in self.log.read_text()[told:]

        await eventually(serving, 20)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(how)
        return await process.wait()


@dataclass
class Mesh:
    """The parts, and what tests ask of them."""

    dsn: str
    nats: NatsConnection
    publisher: Publisher
    environment: Mapping[str, str]
    directory: Path
    token: str
    stack: AsyncExitStack
    replicas: list[Replica] = field(default_factory=list[Replica])

    async def replica(self, **settings: str) -> Replica:
        """Starts one more replica."""
        environment = {**self.environment, **settings}
        made = Replica(environment, self.directory / f"replica-{len(self.replicas)}.log")
        self.replicas.append(made)
        await made.start()
        return made

    async def stub(self, replica: Replica) -> AggregationServiceStub:
        """A client."""
        channel = connect(f"127.0.0.1:{replica.port}", token=lambda: self.token)
        return AggregationServiceStub((await self.stack.enter_async_context(channel)).channel)

    async def send(self, rows: Sequence[Row], *, message_id: str = "") -> None:
        """Publishes rows as ingestion does: routed by series, in order."""
        by_partition: dict[int, list[Row]] = {}
        for row in rows:
            by_partition.setdefault(partition_of(row[0].key, PARTITIONS), []).append(row)
        for partition, own in by_partition.items():
            event = Event(readings_subject(partition), batch(partition, own))
            if message_id:
                event = Event(event.subject, event.message, id=f"{message_id}-{partition}")
            await self.publisher.publish(event)

    async def change(self, *changed: Descriptor) -> None:
        """Publishes rules that have changed as ingestion does: to every partition."""
        for partition in range(PARTITIONS):
            message = ReadingBatch(partition=partition, changed=map(describe, changed))
            await self.publisher.publish(Event(readings_subject(partition), message))

    async def tell(self, *types: SensorTypeInfo) -> None:
        """Publishes what sensor types say of their values as ingestion does: to every partition."""
        for partition in range(PARTITIONS):
            message = ReadingBatch(partition=partition, sensor_types=types)
            await self.publisher.publish(Event(readings_subject(partition), message))

    async def empty(self, series: Descriptor, time: int) -> None:
        """Publishes an emptied container."""
        message = ContainerEmptied(series=describe(series))
        message.event_time.FromMicroseconds(time)
        await self.publisher.publish(Event(EMPTIED_SUBJECT, message))

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the service's schema."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": SERVICE})
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def value(self, statement: str, *arguments: object) -> Any:
        """The first column of the first row."""
        return (await self.fetch(statement, *arguments))[0][0]

    async def stored(self) -> int:
        """How many readings are stored."""
        return await self.value("SELECT coalesce(sum(cardinality(times_us)), 0) FROM segments")

    async def until_stored(self, count: int, timeout: float = 20.0) -> None:
        """Returns once as many readings are stored; fails when there are more."""

        async def enough() -> bool:
            found = await self.stored()
            assert found <= count, f"{found} readings stored of {count} sent"
            return found == count

        await eventually(enough, timeout)


@asynccontextmanager
async def open_mesh(
    databases: Databases, nats: NatsConnection, nats_url: str, publisher: Publisher, directory: Path
) -> AsyncIterator[Mesh]:
    """Everything but replicas; those are stopped at the end."""
    issuer = DevIssuer.open(directory / "auth")
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(databases({SERVICE: MIGRATIONS}))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "TOCSIN_POSTGRES_DSN": dsn,
            "TOCSIN_NATS_URL": nats_url,
            "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
            "TOCSIN_LOG_FORMAT": "json",
            "TOCSIN_AGGREGATION_LEASE_BEAT": "200ms",
            "TOCSIN_AGGREGATION_LEASE_TTL": "1s",
        }
        token = issuer.mint(["readings:read", "windows:admin"])
        mesh = Mesh(dsn, nats, publisher, environment, directory, token, stack)
        try:
            yield mesh
        finally:
            for replica in mesh.replicas:
                if replica.process is not None:
                    await replica.end(signal.SIGKILL)
