"""A mesh for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.nats import NatsConnection, Publisher
from tests.support.aggregation.mesh import Databases, Mesh, open_mesh


@pytest.fixture
async def mesh(
    databases: Databases, nats_url: str, nats_connection: NatsConnection, publisher: Publisher, tmp_path: Path
) -> AsyncIterator[Mesh]:
    """PostgreSQL and NATS, ready for replicas of the service."""
    async with open_mesh(databases, nats_connection, nats_url, publisher, tmp_path) as made:
        yield made
