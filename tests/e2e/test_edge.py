"""What the edge itself promises: health, documents, reflection, gRPC and gRPC-Web, streams, the downstream account."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import nats.errors
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from tests.e2e.conftest import Edge, until
from tocsin.aggregation.v1 import aggregation_service_pb2, aggregation_service_pb2_grpc
from tocsin.events.v1 import videos_pb2
from tocsin.ingestion.v1 import alert_service_pb2, alert_service_pb2_grpc

SERVICES = {
    "tocsin.ingestion.v1.ReadingService",
    "tocsin.ingestion.v1.CatalogueService",
    "tocsin.ingestion.v1.PayloadService",
    "tocsin.ingestion.v1.AlertService",
    "tocsin.ingestion.v1.DebtFileService",
    "tocsin.ingestion.v1.DebtService",
    "tocsin.aggregation.v1.AggregationService",
    "tocsin.media_probe.v1.VideoService",
    "tocsin.notification.v1.NotificationService",
    "tocsin.notification.v1.EndpointService",
    "tocsin.notification.v1.WebhookService",
    "tocsin.notification.v1.DeadLetterService",
    "tocsin.notification.v1.DeliveryReceiptService",
    "tocsin.notification.v1.OperationsService",
    "tocsin.notification.v1.InvoiceService",
    "tocsin.notification.v1.ReminderService",
}


def test_health_names_every_service(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert set(health) >= {"status", "timestamp", "version", "services"}
    assert set(health["services"]) == {"ingestion", "aggregation", "media-probe", "notification"}


def test_documents_are_open(anonymous: httpx.Client) -> None:
    openapi = anonymous.get("/openapi.json")
    assert openapi.status_code == 200
    assert "/v1/readings" in openapi.json()["paths"]
    docs = anonymous.get("/docs", follow_redirects=True)
    assert docs.status_code == 200
    assert "swagger" in docs.text.lower()


def test_reflection_lists_every_service(edge: Edge) -> None:
    class WithToken(grpc.StreamStreamClientInterceptor):
        def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
            details = details._replace(metadata=edge.metadata())
            return continuation(details, requests)

    with edge.channel() as channel:
        database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(channel, WithToken()))
        assert set(database.get_services()) >= SERVICES
        file = database.FindFileContainingSymbol("tocsin.ingestion.v1.ReadingService")
        assert file.name == "tocsin/ingestion/v1/reading_service.proto"


def test_reflection_needs_a_token(edge: Edge) -> None:
    with edge.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_grpc_errors_carry_their_details(edge: Edge, unique: Callable[[str], str]) -> None:
    with edge.channel() as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        with pytest.raises(grpc.RpcError) as missing:
            stub.GetAlert(alert_service_pb2.GetAlertRequest(uid=unique("no")), metadata=edge.metadata())
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetAlert(alert_service_pb2.GetAlertRequest(uid="a.b"), metadata=edge.metadata())
        with pytest.raises(grpc.RpcError) as nobody:
            stub.GetAlert(alert_service_pb2.GetAlertRequest(uid="a"))
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(refused.value)
    assert any(detail.Unpack(info) for detail in status.details)
    assert (info.reason, info.domain) == ("INVALID_FIELD", "tocsin")
    assert nobody.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_grpc_web(edge: Edge, anonymous: httpx.Client, unique: Callable[[str], str]) -> None:
    request = aggregation_service_pb2.GetRoomAverageRequest(building=unique("b"), room="r")
    payload = request.SerializeToString()
    answer = anonymous.post(
        "/tocsin.aggregation.v1.AggregationService/GetRoomAverage",
        content=b"\x00" + len(payload).to_bytes(4, "big") + payload,
        headers={"content-type": "application/grpc-web+proto", "authorization": f"Bearer {edge.token()}"},
    )
    assert answer.status_code == 200
    assert answer.content[0] == 0, "a data frame"
    assert b"grpc-status:0" in answer.content.replace(b" ", b"")


def test_windows_are_streamed_as_they_close(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower = unique("tower")
    lines: list[str] = []
    open_ = threading.Event()

    def follow() -> None:
        headers = {"authorization": f"Bearer {edge.token()}", "accept": "text/event-stream"}
        url = f"{edge.url}/v1/windows:watch"
        with httpx.stream("GET", url, params={"building": tower}, headers=headers, timeout=30) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            open_.set()
            for line in response.iter_lines():
                lines.append(line)
                if line.startswith("data:"):
                    return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    assert open_.wait(10), "the stream's headers must come at once"
    start = datetime.now(UTC) - timedelta(minutes=5)
    readings = [
        {
            "building": tower,
            "room": "lobby",
            "sensorType": "temperature",
            "value": 290.0,
            "eventTime": (start + timedelta(seconds=10 * index)).isoformat(),
        }
        for index in range(29)
    ]
    assert rest.post("/v1/readings:batch", json={"readings": readings}).json()["accepted"] == 29
    follower.join(20)
    assert any(line.startswith("data:") and tower in line for line in lines), lines


def test_a_downstream_team_reads_public_events_and_nothing_else(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    uid = unique("cam")

    async def listen() -> None:
        async with edge.mesh.nats(downstream=True) as connection:
            subscription = await connection.subscribe("tocsin.videos.v1.probed")
            private = await connection.subscribe("tocsin.alerts.>")
            await connection.flush()
            body = {"uid": uid, "video": "/videos/gate.avi", "timestamp": 1.7e9, "store": "s"}
            assert (await asyncio.to_thread(rest.post, "/v1/alerts", json=body)).status_code == 200
            while True:
                message = await subscription.next_msg(timeout=20)
                event = videos_pb2.VideoProbed.FromString(message.data)
                if event.uid == uid:
                    break
            headers = message.headers or {}
            assert headers["ce-type"] == "tocsin.events.v1.VideoProbed"
            assert {"ce-id", "ce-source", "ce-time", "traceparent"} <= set(headers)
            assert (event.width, event.height) == edge.videos["gate.avi"]
            with pytest.raises(nats.errors.TimeoutError):
                await private.next_msg(timeout=0.5)

    asyncio.run(listen())


def test_one_trace_from_the_request_to_the_event(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    uid, trace = unique("cam"), "4bf92f3577b34da6a3ce929d0e0e4736"

    async def listen() -> str:
        async with edge.mesh.nats() as connection:
            subscription = await connection.subscribe("tocsin.videos.v1.probed")
            await connection.flush()
            body = {"uid": uid, "video": "/videos/yard.mkv", "timestamp": 1.7e9, "store": "s"}
            headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
            await asyncio.to_thread(rest.post, "/v1/alerts", json=body, headers=headers)
            while True:
                message = await subscription.next_msg(timeout=20)
                if videos_pb2.VideoProbed.FromString(message.data).uid == uid:
                    return (message.headers or {})["traceparent"]

    assert asyncio.run(listen()).split("-")[1] == trace


def test_cancelled_streams_leave_nothing_behind(edge: Edge) -> None:
    with edge.channel() as channel:
        stub = aggregation_service_pb2_grpc.AggregationServiceStub(channel)
        stream = stub.WatchWindows(aggregation_service_pb2.WatchWindowsRequest(), metadata=edge.metadata())
        stream.cancel()
        until(stream.done, what="the end of a cancelled stream")
        assert stream.code() == grpc.StatusCode.CANCELLED
