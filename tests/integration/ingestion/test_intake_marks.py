"""Ingestion says in the broker that it takes readings, and that the edge stands: only while the edge asks."""

from datetime import UTC, datetime

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.nats.broker_checks import last_write
from services.chassis.nats.topology import EDGE
from tests.integration.ingestion.conftest import World
from tests.support.eventually import eventually


async def test_the_edge_stands_while_it_asks(world: World) -> None:
    begun = datetime.now(UTC)

    async def ingestion_stands() -> bool:
        seen = await last_write(world.nats, "ingestion")
        return seen is not None and seen > begun

    await eventually(ingestion_stands)
    stub = health_pb2_grpc.HealthStub(world.channel)
    await stub.Check(health_pb2.HealthCheckRequest())
    # Orchestrators and the runtime ask under other names: nothing of it is the edge's word.
    begun = datetime.now(UTC)
    await eventually(ingestion_stands)
    assert await last_write(world.nats, EDGE) is None
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=EDGE))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def edge_stands() -> datetime | None:
        return await last_write(world.nats, EDGE)

    first = await eventually(edge_stands)
    begun = datetime.now(UTC)
    await eventually(ingestion_stands)
    assert await last_write(world.nats, EDGE) == first
    await stub.Check(health_pb2.HealthCheckRequest(service=EDGE))

    async def again() -> bool:
        seen = await last_write(world.nats, EDGE)
        return seen is not None and seen > begun

    await eventually(again)
