"""What services and downstream teams can do on the embedded servers, tried on those servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from services.chassis.mesh_names import MeshNames
from services.chassis.nats import topology
from services.cli.client import open_mesh
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.postgres_address import with_login
from services.cli.runtime.settings import SERVICES
from tests.integration.runtime.conftest import CommandLine
from tests.support.eventually import eventually


class _User:
    """A NATS user and what the server has told it."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.client = Client()

    async def connect(self, url: str, user: str, password: str) -> None:
        async def refused(error: Exception) -> None:
            self.refusals.append(str(error).lower())

        await self.client.connect(url, user=user, password=password, error_cb=refused)

    async def refused(self, subject: str) -> bool:
        return await eventually(lambda: any(subject.lower() in refusal for refusal in self.refusals), what="a refusal")


@pytest.fixture(scope="module", params=["", "stage"], ids=["no prefix", "prefix"])
def mesh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[CommandLine]:
    one = CommandLine(tmp_path_factory.mktemp("rights") / "state", repository, "--only", "postgres,nats")
    one.start(TOCSIN_NATS_PREFIX=request.param)
    asyncio.run(one.up())
    yield one
    asyncio.run(one.stop())


@pytest.fixture
def names(mesh: CommandLine) -> MeshNames:
    return open_mesh(mesh.state.root).names


@pytest.fixture
async def login(mesh: CommandLine) -> AsyncIterator[Callable[[str], "asyncio.Future[_User]"]]:
    users: list[_User] = []

    def make(name: str) -> "asyncio.Future[_User]":
        async def connect() -> _User:
            user = _User()
            password = mesh.state.secret(f"nats.{name}")
            await user.connect(running_instance(mesh.state).nats_url, name, password)
            users.append(user)
            return user

        return asyncio.ensure_future(connect())

    yield make
    for user in users:
        await user.client.close()


async def test_downstream_hears_public_subjects_and_nothing_else(
    mesh: CommandLine, names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    downstream = await login("downstream")
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    # Everything that there is to hear in its account, whatever it asks for.
    await downstream.client.subscribe(">", cb=hear)
    await downstream.client.flush()
    plain = [topology.VIDEO_PROBED_SUBJECT, topology.ALARM_RAISED_SUBJECT, topology.DEBT_FILE_COMPLETED_SUBJECT]
    public = [names.subject(each) for each in (*plain, topology.window_closed_subject("b", "r", "temperature"))]
    async with open_mesh(mesh.state.root).nats() as operator:
        await operator.publish(names.subject(topology.DEBTS_REGISTERED_SUBJECT), b"private")
        for subject in public:
            await operator.publish(subject, b"public")
        await operator.flush()
    await eventually(lambda: sorted(heard) == sorted(public), what="the public events")

    await downstream.client.publish(public[1], b"forged")
    assert await downstream.refused(f'publish to "{public[1]}"')
    assert not downstream.client.is_closed


async def test_a_gateway_publishes_payloads_and_nothing_else(
    mesh: CommandLine, names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    gateway = await login("gateway")
    stream = gateway.client.jetstream(timeout=5)
    payloads = names.subject(topology.payloads_subject("ep1"))
    ack = await stream.publish(payloads, b"{}", headers={"Nats-Msg-Id": "one"})
    assert (ack.stream, ack.duplicate) == (names.stream(topology.PAYLOADS), None)
    again = await stream.publish(payloads, b"{}", headers={"Nats-Msg-Id": "one"})
    assert (again.seq, again.duplicate) == (ack.seq, True)
    with pytest.raises(APIError, match="maximum"):
        await stream.publish(payloads, b"x" * 80_000)
    for subject in (
        names.subject(topology.readings_subject(0)),
        names.subject(topology.EMPTIED_SUBJECT),
        f"$JS.API.STREAM.INFO.{ack.stream}",
        "$JS.ACK.x",
    ):
        await gateway.client.publish(subject, b"forged")
        assert await gateway.refused(f'publish to "{subject}"')
    for subject in (">", *map(names.subject, ("tocsin.>", topology.payloads_subject("*"))), "$JS.>"):
        await gateway.client.subscribe(subject)
        assert await gateway.refused(f'subscription to "{subject}"')
    # Replies to others stay with them: a listener on every inbox hears only what was sent to its own account.
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    await gateway.client.subscribe("_INBOX.>", cb=hear)
    await gateway.client.flush()
    ingestion = await login("ingestion")
    await ingestion.client.jetstream().publish(names.subject(topology.ALERT_REPORTED_SUBJECT), b"alert")
    await ingestion.client.jetstream().stream_info(names.stream(topology.ALERTS))
    await gateway.client.flush()
    assert not heard
    async with open_mesh(mesh.state.root).nats() as operator:
        info = await operator.jetstream().stream_info(ack.stream)
        assert info.state.messages == 1


async def test_a_publisher_asks_for_its_tenant_hears_of_it_and_nothing_else(
    mesh: CommandLine, names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    publisher, other = await login("publisher-test"), await login("publisher-wellness")
    stream = publisher.client.jetstream(timeout=5)
    for request in topology.NOTIFICATION_REQUESTS:
        subject = names.subject(topology.notification_request_subject("test", request))
        ack = await stream.publish(subject, b"{}", headers={"Nats-Msg-Id": request})
        assert (ack.stream, ack.duplicate) == (names.stream(topology.notification_requests_stream("test")), None)
        assert (await stream.publish(subject, b"{}", headers={"Nats-Msg-Id": request})).duplicate
    # Another tenant's ids are its own.
    theirs = names.subject(topology.notification_request_subject("wellness", "send"))
    assert (await other.client.jetstream().publish(theirs, b"{}", headers={"Nats-Msg-Id": "send"})).duplicate is None
    with pytest.raises(APIError, match="maximum"):
        await stream.publish(names.subject(topology.notification_request_subject("test", "send")), b"x" * 1024 * 1024)
    for subject in (
        theirs,
        names.subject(topology.notification_request_subject("test", "anything")),
        names.subject(topology.notification_status_subject("test")),
        names.subject(topology.request_refused_subject("test")),
        names.subject(topology.payloads_subject("ep1")),
        names.subject(topology.readings_subject(0)),
        f"$JS.API.STREAM.INFO.{ack.stream}",
        f"$JS.API.STREAM.MSG.GET.{ack.stream}",
        "$JS.ACK.x",
    ):
        await publisher.client.publish(subject, b"forged")
        assert await publisher.refused(f'publish to "{subject}"')
    for subject in (
        ">",
        names.subject("tocsin.>"),
        names.subject(topology.notification_status_subject("wellness")),
        names.subject(topology.notification_status_subject("*")),
        names.subject(topology.request_refused_subject("wellness")),
        names.subject(topology.notification_request_subject("test", "*")),
        names.subject(topology.ALARM_RAISED_SUBJECT),
        "$JS.>",
    ):
        await publisher.client.subscribe(subject)
        assert await publisher.refused(f'subscription to "{subject}"')
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    own = [
        names.subject(topology.notification_status_subject("test")),
        names.subject(topology.request_refused_subject("test")),
    ]
    for subject in (*own, "_INBOX.>"):
        await publisher.client.subscribe(subject, cb=hear)
    await publisher.client.flush()
    notification = await login("notification")
    for tenant in ("wellness", "test"):
        for subject in (topology.notification_status_subject(tenant), topology.request_refused_subject(tenant)):
            await notification.client.publish(names.subject(subject), b"told")
    await notification.client.flush()
    # Replies to another tenant's publisher stay with it, too.
    await other.client.jetstream().publish(theirs, b"{}")
    await eventually(lambda: sorted(heard) == sorted(own), what="what is told of its tenant alone")


async def test_a_service_publishes_only_its_own(
    names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    aggregation = await login("aggregation")
    stream = aggregation.client.jetstream()
    ack = await stream.publish(names.subject(topology.window_closed_subject("b", "r", "co2")), b"window")
    assert ack.stream == names.stream(topology.WINDOWS)
    await aggregation.client.publish(names.subject(topology.notification_status_subject("test")), b"forged")
    assert await aggregation.refused(topology.notification_status_subject("test"))


async def test_a_service_consumes_and_acknowledges_what_it_reads(
    mesh: CommandLine, names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    ingestion, aggregation = await login("ingestion"), await login("aggregation")
    subject, name = names.subject(topology.readings_subject(0)), names.stream(topology.READINGS)
    await ingestion.client.jetstream().publish(subject, b"batch")
    subscription = await aggregation.client.jetstream().pull_subscribe(subject, durable="partition-0", stream=name)
    (message,) = await subscription.fetch(1, timeout=5)
    await message.ack_sync()
    async with open_mesh(mesh.state.root).nats() as operator:
        info = await operator.jetstream().stream_info(name)
        assert info.state.messages == 0
    assert not aggregation.refusals


async def test_a_service_cannot_delete_a_stream(
    names: MeshNames, login: Callable[[str], "asyncio.Future[_User]"]
) -> None:
    ingestion = await login("ingestion")
    with pytest.raises((nats.errors.Error, TimeoutError, APIError)):
        await ingestion.client.jetstream(timeout=0.5).delete_stream(names.stream(topology.READINGS))
    assert await ingestion.refused("stream.delete")


async def test_a_wrong_password_is_no_way_in(mesh: CommandLine) -> None:
    # By hand: the client's way of giving up leaves its socket to the garbage collector.
    port = running_instance(mesh.state).ports["nats"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"INFO ")
    login = json.dumps({"user": "cli", "pass": "guess", "verbose": False, "pedantic": False})
    writer.write(f"CONNECT {login}\r\nPING\r\n".encode())
    assert (await reader.readline()).startswith(b"-ERR 'Authorization Violation'")
    writer.close()
    await writer.wait_closed()


async def test_a_role_sees_its_own_schema_only(mesh: CommandLine) -> None:
    instance = running_instance(mesh.state)
    for service in SERVICES:
        connection = await asyncpg.connect(_service_dsn(mesh, instance, service))
        try:
            assert await connection.fetchval("SELECT current_schema()") == service
            await connection.execute("CREATE TEMPORARY TABLE mine (id int)")
            for other in set(SERVICES) - {service}:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f"SELECT * FROM {other}.schema_migrations")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CREATE TABLE public.theirs (id int)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CREATE ROLE other SUPERUSER")
        finally:
            await connection.close()


def _service_dsn(mesh: CommandLine, instance: Instance, service: str) -> str:
    secrets = json.loads((mesh.state.root / "secrets.json").read_text())
    return with_login(instance.postgres_dsn, f"tocsin_{service}", secrets[f"postgres.{service}"])
