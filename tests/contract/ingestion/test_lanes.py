from datetime import timedelta

import numpy as np
import pytest

from services.chassis.nats import NatsConnection, Publisher
from services.chassis.nats.topology import READINGS, READINGS_PRIORITY
from services.ingestion.adapters.memory.stores import MemoryLane, MemoryPriority
from services.ingestion.adapters.nats.broker import Broker
from services.ingestion.adapters.nats.priority_lane import JetStreamPriorityLane
from services.ingestion.adapters.nats.reading_lane import JetStreamReadingLane
from services.ingestion.application.ports import Emptied
from services.ingestion.domain.reading_columns import Piece
from tests.support.ingestion import NOW_US, TYPES, series
from tocsin.events.v1 import readings_pb2

ONE = series("d1", 8)
BATCH = Piece(3, (ONE,), np.zeros(2, np.uint32), np.array([NOW_US, NOW_US + 1]), np.array([1.0, 2.0]))


@pytest.fixture
def broker(where: str, request: pytest.FixtureRequest) -> tuple[NatsConnection, Publisher] | None:
    """The real one, or None."""
    if where == "memory":
        return None
    return request.getfixturevalue("nats_connection"), request.getfixturevalue("publisher")


async def test_the_same_id_is_stored_once(broker: tuple[NatsConnection, Publisher] | None) -> None:
    if broker is None:
        lane = MemoryLane()
        for name in ("a", "a", "b"):
            await lane.publish(BATCH, name)
        assert len(lane.stored) == 2
        return
    connection, publisher = broker
    real = JetStreamReadingLane(Broker(connection, publisher, patience=timedelta(seconds=5)))
    for name in ("a", "a", "b"):
        await real.publish(BATCH, name)
    state = (await connection.js.stream_info(READINGS)).state
    assert state.messages == 2
    message = await connection.js.get_msg(READINGS, 1)
    assert message.subject == "tocsin.readings.v1.3"
    assert (message.headers or {})["ce-type"] == "tocsin.events.v1.ReadingBatch"
    assert (message.headers or {})["Nats-Msg-Id"] == "a"
    found = readings_pb2.ReadingBatch.FromString(message.data or b"")
    assert (found.partition, list(found.value)) == (3, [1.0, 2.0])


async def test_a_container_is_emptied_once_for_each_time(broker: tuple[NatsConnection, Publisher] | None) -> None:
    level = series("c1", 8, TYPES[3])
    emptied = [
        Emptied(level, NOW_US, forced=False),
        Emptied(level, NOW_US, forced=False),
        Emptied(level, NOW_US + 1, forced=True),
    ]
    if broker is None:
        lane = MemoryPriority()
        for one in emptied:
            await lane.publish(one)
        assert len(lane.stored) == 2
        return
    connection, publisher = broker
    real = JetStreamPriorityLane(Broker(connection, publisher, patience=timedelta(seconds=5)))
    for one in emptied:
        await real.publish(one)
    assert (await connection.js.stream_info(READINGS_PRIORITY)).state.messages == 2
    message = await connection.js.get_msg(READINGS_PRIORITY, 2)
    found = readings_pb2.ContainerEmptied.FromString(message.data or b"")
    assert (found.series.device, found.forced) == ("c1", True)
    assert found.series.kind == readings_pb2.SeriesDescriptor.LEVEL
    assert found.event_time.ToMicroseconds() == NOW_US + 1
