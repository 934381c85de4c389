import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.chassis.auth.dev_issuer import DevIssuer
from tests.integration.chassis.conftest import Echo
from tests.support.echo import SERVICE, pb, rpc


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """The code and the reason with which an awaited call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    raw = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert isinstance(raw, bytes)
    status_pb2.Status.FromString(raw).details[0].Unpack(info)
    assert info.domain == "tocsin"
    return caught.value.code(), info.reason


UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


async def test_any_of_the_declared_scopes_passes_and_no_other(echo_server: Echo) -> None:
    stub = rpc.EchoServiceStub(echo_server.raw)
    for scopes in (["echo:read"], ["echo:write", "other:read"], ["*"]):
        assert (await stub.Echo(pb.EchoRequest(room_name="r"), metadata=echo_server.meta(*scopes))).text == "r"
    for scopes in (["other:read"], [], ["echo"], ["echo:*"]):
        got = await refusal(stub.Echo(pb.EchoRequest(room_name="r"), metadata=echo_server.meta(*scopes)))
        assert got == (DENIED, "SCOPE_MISSING")
    assert (
        await stub.Echo(pb.EchoRequest(room_name="r", action="who"), metadata=echo_server.meta("*"))
    ).text == "developer"


async def test_a_method_without_a_rule_is_refused_even_with_every_scope(echo_server: Echo) -> None:
    stub = rpc.EchoServiceStub(echo_server.raw)
    assert await refusal(stub.Undeclared(pb.EchoRequest(room_name="r"), metadata=echo_server.meta("*"))) == (
        DENIED,
        "SCOPE_MISSING",
    )
    assert not echo_server.servicer.entered.is_set()


async def test_a_public_method_needs_no_token(echo_server: Echo) -> None:
    assert (await rpc.EchoServiceStub(echo_server.raw).Open(pb.EchoRequest(room_name="r"))).text == "r"


async def test_bad_tokens_are_refused_with_their_reason(echo_server: Echo, tmp_path: Path) -> None:
    ours = echo_server.issuer
    foreign = DevIssuer.open(tmp_path / "foreign")
    other_audience = DevIssuer.open(ours.jwks_file.parent, audience="elsewhere")
    other_issuer = DevIssuer.open(ours.jwks_file.parent, issuer="https://elsewhere")
    public = json.loads(ours.jwks_file.read_text())["keys"][0]
    claims = jwt.decode(ours.mint(), options={"verify_signature": False})
    symmetric = jwt.encode(claims, public["x"], algorithm="HS256", headers={"kid": public["kid"]})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": public["kid"]})
    good = ours.mint()
    cases = {
        "": "TOKEN_MISSING",
        f"Bearer {ours.mint(ttl=timedelta(seconds=-60))}": "TOKEN_EXPIRED",
        f"Bearer {foreign.mint()}": "TOKEN_INVALID",
        f"Bearer {other_audience.mint()}": "TOKEN_INVALID",
        f"Bearer {other_issuer.mint()}": "TOKEN_INVALID",
        f"Bearer {symmetric}": "TOKEN_INVALID",
        f"Bearer {unsigned}": "TOKEN_INVALID",
        f"Bearer {good[:-4]}AAAA": "TOKEN_INVALID",
        "Bearer garbage": "TOKEN_INVALID",
        "Bearer a.b.c": "TOKEN_INVALID",
        "Bearer ": "TOKEN_INVALID",
        f"Basic {good}": "TOKEN_INVALID",
        f"Bearer {'x' * 9000}": "TOKEN_INVALID",
    }
    stub = rpc.EchoServiceStub(echo_server.raw)
    for value, reason in cases.items():
        metadata = (("authorization", value),) if value else ()
        got = await refusal(stub.Echo(pb.EchoRequest(room_name="r"), metadata=metadata))
        assert got == (UNAUTHENTICATED, reason), value[:40]
    assert not echo_server.servicer.entered.is_set()


async def test_streams_are_guarded_too(echo_server: Echo) -> None:
    stub = rpc.EchoServiceStub(echo_server.raw)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.Expand(pb.EchoRequest(room_name="r")):
            pytest.fail("a message left the server")
    assert caught.value.code() is UNAUTHENTICATED
    assert await refusal(stub.Collect(iter([pb.EchoRequest(room_name="r")]))) == (UNAUTHENTICATED, "TOKEN_MISSING")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.Chat(iter([pb.EchoRequest(room_name="r")])):
            pytest.fail("a message left the server")
    assert caught.value.code() is UNAUTHENTICATED


async def test_health_is_public_and_reflection_needs_a_token_of_any_scope(echo_server: Echo) -> None:
    reply = await health_pb2_grpc.HealthStub(echo_server.raw).Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING  # nobody watches the dependencies in this server

    request = [reflection_pb2.ServerReflectionRequest(list_services="*")]
    stub = reflection_pb2_grpc.ServerReflectionStub(echo_server.raw)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(stub.ServerReflectionInfo(iter(request))))
    assert caught.value.code() is UNAUTHENTICATED

    for name in ("v1", "v1alpha"):
        method = echo_server.raw.stream_stream(
            f"/grpc.reflection.{name}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = [answer async for answer in method(iter(request), metadata=echo_server.meta("no:scope"))]
        listed = {service.name for service in answers[0].list_services_response.service}
        assert listed == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
