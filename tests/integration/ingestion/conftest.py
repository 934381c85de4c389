"""The real service in this process: bootstrap, PostgreSQL, NATS, gRPC over a socket."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import pytest

from services.chassis.app import App, Step
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection, TopologyOptions, ensure_streams, open_nats
from services.chassis.nats.topology import HEALTH, READINGS, READINGS_PRIORITY
from services.chassis.postgres import Database, open_database
from services.ingestion.bootstrap import bootstrap
from services.ingestion.settings import MIGRATIONS, IngestionSettings
from tests.support.eventually import eventually
from tests.support.nats import NatsServer
from tests.support.postgres import Schemas
from tocsin.ingestion.v1.alert_service_pb2_grpc import AlertServiceStub
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from tocsin.ingestion.v1.payload_service_pb2_grpc import PayloadServiceStub
from tocsin.ingestion.v1.reading_service_pb2_grpc import ReadingServiceStub


@dataclass
class World:
    """A running ingestion and what stands around it. `as_user` makes other callers."""

    app: App
    channel: grpc.aio.Channel
    nats: NatsConnection
    database: Database
    dsn: str
    issuer: DevIssuer

    def __post_init__(self) -> None:
        self.readings = ReadingServiceStub(self.channel)
        self.catalogue = CatalogueServiceStub(self.channel)
        self.payloads = PayloadServiceStub(self.channel)
        self.alerts = AlertServiceStub(self.channel)
        self.me = self.as_user("me")

    def as_user(self, subject: str, scopes: tuple[str, ...] = ("*",)) -> tuple[tuple[str, str], ...]:
        """Call metadata of a caller."""
        return (("authorization", f"Bearer {self.issuer.mint(scopes, subject=subject)}"),)

    async def footprint(self) -> tuple[int, ...]:
        """How much stands in each table, the outbox and all streams: equal before and after means nothing changed."""
        tables = (
            "sensor_types",
            "buildings",
            "rooms",
            "devices",
            "idempotency_keys",
            "quarantined_payloads",
            "alerts",
            "outbox",
        )
        async with self.database.connection() as connection:
            rows = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
        streams = await self.nats.js.streams_info()
        # HEALTH grows by itself, with every second.
        return (*rows, *[info.state.last_seq for info in streams if info.config.name != HEALTH])


@asynccontextmanager
async def started(dsn: str, nats_url: str, issuer: DevIssuer, **changes: object) -> AsyncIterator[World]:
    """The service on the given stores."""
    settings = IngestionSettings(postgres_dsn=dsn, nats_url=nats_url, auth_jwks_file=issuer.jwks_file, **changes)  # pyright: ignore
    settings.verify()
    app = App("ingestion", settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.stop)
        await bootstrap(app, settings)
        port = await app.server.start()
        app.task("health", app.server.health.watch_dependencies(), until=Step.NOT_SERVING)
        app.at_stop(Step.STOP_SERVER, "grpc", lambda: app.server.stop(settings.stop_grace))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        nats = await stack.enter_async_context(open_nats(nats_url, name="looking on"))
        database = await stack.enter_async_context(
            open_database(dsn, schema="ingestion", application_name="looking on")
        )
        await eventually(lambda: not app.server.health.problems())
        # The first start tells the others what the sensor types say of their values.
        await eventually(lambda: _nothing_to_relay(database))
        yield World(app, channel, nats, database, dsn, issuer)
    assert app.exit_code == 0


async def _nothing_to_relay(database: Database) -> bool:
    async with database.connection() as connection:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)")


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevIssuer:
    return DevIssuer.open(tmp_path_factory.mktemp("auth"))


@pytest.fixture
async def ingestion_dsn(databases: Callable[[Schemas], AbstractAsyncContextManager[str]]) -> AsyncIterator[str]:
    """A migrated database."""
    async with databases({"ingestion": MIGRATIONS}) as dsn:
        yield dsn


@pytest.fixture
async def streams(nats_url: str) -> str:
    """The URL of a broker with all streams."""
    async with open_nats(nats_url, name="topology") as connection:
        await ensure_streams(connection, TopologyOptions())
    return nats_url


@pytest.fixture
async def world(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> AsyncIterator[World]:
    """The service, as it comes, with streams that hold nothing."""
    async with started(ingestion_dsn, streams, issuer) as world:
        for stream in (READINGS, READINGS_PRIORITY):
            await world.nats.js.purge_stream(stream)
        yield world


@pytest.fixture
async def own_broker(nats_servers: Callable[[], NatsServer]) -> NatsServer:
    """A broker that the test may kill, with all streams."""
    server = nats_servers()
    async with open_nats(server.url, name="topology") as connection:
        await ensure_streams(connection, TopologyOptions())
    return server
