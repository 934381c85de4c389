"""gRPC, gRPC-Web and reflection through Envoy."""

import struct

import grpc
import grpc.aio
import httpx
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.integration.edge.conftest import Edge
from tocsin.ingestion.v1 import reading_pb2, reading_service_pb2, reading_service_pb2_grpc

REQUEST = reading_service_pb2.CreateReadingRequest(reading=reading_pb2.Reading(building="hq", value=1.0))


async def test_a_call(channel: grpc.aio.Channel, edge_stack: Edge) -> None:
    stub = reading_service_pb2_grpc.ReadingServiceStub(channel)
    response = await stub.CreateReading(REQUEST, metadata=(("authorization", edge_stack.bearer),), timeout=10)
    assert response.reading.building == "hq"


async def test_a_stream_both_ways(channel: grpc.aio.Channel, edge_stack: Edge) -> None:
    stub = reading_service_pb2_grpc.ReadingServiceStub(channel)
    call = stub.StreamReadings(metadata=(("authorization", edge_stack.bearer),))
    for sequence in range(3):
        batch = reading_service_pb2.StreamReadingsRequest.ReadingList(readings=[reading_pb2.Reading(value=1.0)])
        await call.write(reading_service_pb2.StreamReadingsRequest(sequence=sequence, readings=batch))
        response = await call.read()
        assert isinstance(response, reading_service_pb2.StreamReadingsResponse)
        assert (response.sequence, response.accepted) == (sequence, 1)
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF


async def test_without_a_token(channel: grpc.aio.Channel) -> None:
    stub = reading_service_pb2_grpc.ReadingServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateReading(REQUEST, timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details() == "Jwt is missing"


async def test_a_method_that_nobody_has(channel: grpc.aio.Channel, edge_stack: Edge) -> None:
    call = channel.unary_unary("/other.Service/Method", lambda _: b"", bytes)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(None, metadata=(("authorization", edge_stack.bearer),), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_of_the_mesh_needs_no_token(channel: grpc.aio.Channel) -> None:
    response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_and_describes_every_service(
    channel: grpc.aio.Channel, edge_stack: Edge, version: str
) -> None:
    # v1 and v1alpha have the same messages on the wire.
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )(metadata=(("authorization", edge_stack.bearer),))
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = await call.read()
    names = {service.name for service in listed.list_services_response.service}
    assert {
        "tocsin.ingestion.v1.ReadingService",
        "tocsin.aggregation.v1.AggregationService",
        "tocsin.media_probe.v1.VideoService",
        "tocsin.notification.v1.NotificationService",
        "grpc.health.v1.Health",
    } <= names
    for name in names:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(files[0]).package == name.rpartition(".")[0]
    await call.done_writing()


async def test_reflection_needs_a_token(channel: grpc.aio.Channel) -> None:
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_grpc_web(rest: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    payload = REQUEST.SerializeToString()
    framed = struct.pack(">BI", 0, len(payload)) + payload
    path = "/tocsin.ingestion.v1.ReadingService/CreateReading"
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    response = await rest.post(path, content=framed, headers=headers)
    assert response.headers["content-type"] == "application/grpc-web+proto"
    flag, length = struct.unpack(">BI", response.content[:5])
    message = reading_service_pb2.CreateReadingResponse.FromString(response.content[5 : 5 + length])
    assert (flag, message.reading.building) == (0, "hq")
    assert response.content[5 + length] == 0x80
    assert b"grpc-status:0" in response.content[5 + length :]
    refused = await anonymous.post(path, content=framed, headers=headers)
    assert refused.headers["grpc-status"] == "16"
