"""Each port once in memory and once for real."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from services.chassis.postgres import Database, open_database
from services.ingestion.settings import MIGRATIONS
from tests.support.postgres import Schemas


@pytest.fixture(params=["memory", "real"])
def where(request: pytest.FixtureRequest) -> str:
    """Which adapter a test runs on."""
    return str(request.param)


@pytest.fixture
async def database(databases: Callable[[Schemas], AbstractAsyncContextManager[str]]) -> AsyncIterator[Database]:
    """A database of the test's own."""
    async with (
        databases({"ingestion": MIGRATIONS}) as dsn,
        open_database(dsn, schema="ingestion", application_name="tests") as database,
    ):
        yield database
