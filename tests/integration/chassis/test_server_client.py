"""The client side: deadlines, retries, tokens and traces of calls between services, and mutual TLS."""

import asyncio
import datetime
import ipaddress
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import DeadlineExceeded, Unauthenticated, Unavailable
from services.chassis.grpc.client import connect, connect_peer, service_config, token_file
from services.chassis.grpc.server import Server
from services.chassis.settings import ChassisSettings
from services.chassis.tasks import cancel
from services.chassis.telemetry import tracing
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.probes import GrpcTls, grpc_probe
from tests.integration.chassis.conftest import Echo
from tests.support.echo import SERVICE, EchoServicer, pb, rpc
from tests.support.eventually import eventually

REQUEST = pb.EchoRequest(room_name="r")


class Relay(EchoServicer):
    """Answers `Echo` by asking another server, as services do among themselves."""

    def __init__(self, onwards: Any) -> None:
        super().__init__()
        self.onwards = onwards

    async def Echo(self, request: Any, context: Any) -> Any:
        return await self.onwards.Echo(request)


class Witness(EchoServicer):
    """Keeps the metadata and the time left of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.metadata: list[dict[str, Any]] = []
        self.remaining: list[float] = []

    async def Echo(self, request: Any, context: Any) -> Any:
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining.append(context.time_remaining())
        return await super().Echo(request, context)


@asynccontextmanager
async def serving(servicer: EchoServicer, settings: ChassisSettings) -> AsyncIterator[int]:
    server = Server.standard(settings)
    rpc.add_EchoServiceServicer_to_server(servicer, server)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(timedelta(0))


async def test_a_relayed_call_keeps_token_trace_request_id_and_deadline(issuer: DevIssuer) -> None:
    settings = ChassisSettings(auth_jwks_file=issuer.jwks_file)
    token, trace = issuer.mint(subject="alice"), "a" * 32
    async with (
        serving(witness := Witness(), settings) as back,
        connect(f"127.0.0.1:{back}", deadline=timedelta(seconds=60)) as onwards,
        serving(Relay(rpc.EchoServiceStub(onwards)), settings) as front,
        connect(f"127.0.0.1:{front}", token=lambda: token) as channel,
    ):
        headers = {"traceparent": f"00-{trace}-{'b' * 16}-01"}
        with tracing.span("caller", parent=tracing.extract(headers)):
            reply = await rpc.EchoServiceStub(channel).Echo(
                pb.EchoRequest(room_name="r", action="who"), timeout=5, metadata=(("x-request-id", "req-7"),)
            )
    assert reply.text == "alice"
    (metadata,) = witness.metadata
    assert metadata["x-request-id"] == "req-7"
    assert metadata["authorization"] == f"Bearer {token}"
    assert metadata["traceparent"].split("-")[1] == trace
    assert 0 < witness.remaining[0] <= 5


async def test_without_a_token_the_peer_refuses(echo_server: Echo) -> None:
    async with connect(f"127.0.0.1:{echo_server.server.port}") as channel:
        with pytest.raises(Unauthenticated) as caught:
            await rpc.EchoServiceStub(channel).Echo(REQUEST)
    assert caught.value.reason == "TOKEN_MISSING"


async def test_every_call_has_a_deadline(echo_server: Echo) -> None:
    token = echo_server.issuer.mint()
    target = f"127.0.0.1:{echo_server.server.port}"
    async with connect(target, deadline=timedelta(milliseconds=100), token=lambda: token) as channel:
        with pytest.raises(DeadlineExceeded):
            await rpc.EchoServiceStub(channel).Echo(pb.EchoRequest(room_name="r", action="hang"))
        with pytest.raises(DeadlineExceeded):
            async for _ in rpc.EchoServiceStub(channel).Expand(pb.EchoRequest(room_name="r", action="hang")):
                pass


async def test_a_reader_who_leaves_early_ends_the_stream(echo_server: Echo) -> None:
    replies = aiter(echo_server.stub.Expand(pb.EchoRequest(room_name="r", action="hang")))
    assert (await anext(replies)).count == 0
    await replies.aclose()
    began = time.monotonic()
    await echo_server.server.stop(timedelta(seconds=20))
    assert time.monotonic() - began < 10  # nothing was left to wait for


class Flaky(grpc.aio.ServerInterceptor):
    """Fails the first calls of each method with UNAVAILABLE, as a peer does that is just going away."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, dict[str, int]()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.calls[method] > self.failures:
            return await continuation(handler_call_details)

        async def unavailable(request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "going away at 10.0.0.7")

        return grpc.unary_unary_rpc_method_handler(unavailable)


async def test_only_idempotent_methods_are_retried() -> None:
    flaky = Flaky(2)
    server = grpc.aio.server(interceptors=[flaky])
    rpc.add_EchoServiceServicer_to_server(EchoServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{port}", services=[SERVICE]) as channel:
        stub = rpc.EchoServiceStub(channel)
        assert (await stub.Echo(REQUEST)).text == "r"
        with pytest.raises(Unavailable) as caught:
            await stub.Open(REQUEST)
    await server.stop(None)
    assert flaky.calls == {f"/{SERVICE}/Echo": 3, f"/{SERVICE}/Open": 1}
    assert "10.0.0.7" not in caught.value.message


def test_the_service_config_names_the_idempotent_methods() -> None:
    (entry,) = json.loads(service_config([SERVICE]))["methodConfig"]
    assert entry["name"] == [{"service": SERVICE, "method": "Echo"}]
    assert entry["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert json.loads(service_config([])) == {"methodConfig": []}


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = token_file(file)
    with pytest.raises(Unauthenticated):
        token()
    file.write_text("one\n")
    assert token() == "one"
    file.with_suffix(".new").write_text("two")
    file.with_suffix(".new").replace(file)
    assert token() == "two"


def certificates(folder: Path) -> ChassisSettings:
    """A certificate authority of its own and one certificate by it, as settings."""
    folder.mkdir()

    def write(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("ingestion")]

    def certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, by: Any, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .sign(by, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ChassisSettings(
        grpc_tls_ca_file=write("ca.pem", certificate("ca", "ca", authority, authority, True)),
        grpc_tls_cert_file=write("cert.pem", certificate("service", "ca", own, authority, False)),
        grpc_tls_key_file=write("key.pem", pem),
    )


async def test_mutual_tls_admits_only_peers_of_the_same_authority(issuer: DevIssuer, tmp_path: Path) -> None:
    ours, foreign = certificates(tmp_path / "ours"), certificates(tmp_path / "foreign")
    token_path = tmp_path / "token"
    token_path.write_text(issuer.mint())
    settings = ours.model_copy(update={"auth_jwks_file": issuer.jwks_file, "peer_token_file": token_path})
    settings.verify()
    async with serving(EchoServicer(), settings) as port:
        async with connect_peer(f"127.0.0.1:{port}", settings, [SERVICE]) as channel:
            assert (await rpc.EchoServiceStub(channel).Echo(REQUEST)).text == "r"
        for stranger in (foreign, ChassisSettings()):
            async with connect_peer(f"127.0.0.1:{port}", stranger) as channel:
                with pytest.raises((Unavailable, DeadlineExceeded)):
                    await rpc.EchoServiceStub(channel).Open(REQUEST, timeout=2)


async def test_whoever_runs_a_service_with_mutual_tls_can_ask_for_its_health(tmp_path: Path) -> None:
    ours, foreign = certificates(tmp_path / "ours"), certificates(tmp_path / "foreign")
    within = timedelta(seconds=4)

    def tls(settings: ChassisSettings, peer: str) -> GrpcTls | None:
        names = ("grpc_tls_cert_file", "grpc_tls_key_file", "grpc_tls_ca_file")
        return GrpcTls.of({settings.env(name): str(getattr(settings, name)) for name in names}, peer)

    server = Server.standard(ours)
    port = await server.start()
    health = asyncio.create_task(server.health.watch_dependencies())
    try:
        # The certificate has the address, and the name by which other parts reach the service.
        for peer in ("127.0.0.1:1", "ingestion:50051"):
            await eventually(lambda: server.health.serving, what="a server that serves")
            await grpc_probe(f"127.0.0.1:{port}", tls(ours, peer))(within)
        for wrong in (None, tls(foreign, "ingestion:50051"), tls(ours, "aggregation:50051")):
            with pytest.raises(Unhealthy, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
                await grpc_probe(f"127.0.0.1:{port}", wrong)(timedelta(seconds=1))
    finally:
        await cancel(health)
        await server.stop(timedelta(seconds=1))
