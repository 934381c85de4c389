"""A running notification service for each test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection
from tests.support.fcm import Fcm, open_fcm
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.notification import MIGRATIONS, ManualClock, Service, prepared_nats, running_service, with_tenants
from tests.support.receiver import Receiver, open_receiver

OpenService = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevIssuer:
    """Mints tokens that the service takes."""
    return DevIssuer.open(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
async def dsn(databases: Callable[..., AbstractAsyncContextManager[str]]) -> AsyncIterator[str]:
    """A database with the service's schema, and those of the tenants."""
    async with databases({"notification": MIGRATIONS}, with_tenants) as made:
        yield made


@pytest.fixture
async def nats_connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    """A connection to `nats_url`, where all streams exist, those of the tenants too."""
    async with prepared_nats(nats_url) as connection:
        yield connection


@pytest.fixture
def open_service(dsn: str, nats_url: str, nats_connection: NatsConnection, issuer: DevIssuer) -> OpenService:
    """`async with open_service(smtp_port=...)`: a replica on the test's database; several may share a clock."""

    @asynccontextmanager
    async def make(clock: ManualClock | None = None, **more: object) -> AsyncIterator[Service]:
        async with running_service(dsn, nats_url, issuer, clock, **more) as service:
            yield service

    return make


@pytest.fixture
async def service(open_service: OpenService) -> AsyncIterator[Service]:
    """A replica with the channels that need nothing outside."""
    async with open_service() as running:
        yield running


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server."""
    async with open_mailbox() as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks."""
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def fcm(tmp_path: Path) -> AsyncIterator[Fcm]:
    """Firebase Cloud Messaging."""
    async with open_fcm(tmp_path) as opened:
        yield opened
