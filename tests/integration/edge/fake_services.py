"""All four services' contracts behind one port, with answers that tests can foresee.

`python -m tests.integration.edge.fake_services PORT`
"""

import asyncio
import hashlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.api import httpbody_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.chassis import errors
from services.chassis.grpc.status import to_status
from tocsin.aggregation.v1 import aggregation_service_pb2, aggregation_service_pb2_grpc, window_pb2
from tocsin.ingestion.v1 import (
    alert_service_pb2,
    alert_service_pb2_grpc,
    debt_file_pb2,
    debt_file_service_pb2,
    debt_file_service_pb2_grpc,
    payload_service_pb2,
    payload_service_pb2_grpc,
    reading_pb2,
    reading_service_pb2,
    reading_service_pb2_grpc,
)
from tocsin.notification.v1 import invoice_service_pb2_grpc


async def refuse(context: grpc.aio.ServicerContext[Any, Any], error: errors.DomainError) -> None:
    """Ends the call as the chassis does."""
    status = to_status(error, dict(context.invocation_metadata() or ()).get("x-request-id", ""))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    await context.abort(code, status.message)


class Readings(reading_service_pb2_grpc.ReadingServiceServicer):
    """Below -273.15 is refused; `away` as the building is UNAVAILABLE."""

    async def CreateReading(self, request: Any, context: Any) -> Any:
        if request.reading.value < -273.15:
            violation = errors.FieldViolation("reading.value", "must be at least 0 K", "VALUE_OUT_OF_RANGE")
            await refuse(
                context, errors.InvalidArgument("Too cold.", reason="VALUE_OUT_OF_RANGE", violations=(violation,))
            )
        request.reading.unit = request.reading.unit or "C"
        if not request.reading.HasField("event_time"):
            request.reading.event_time.FromMilliseconds(0)
        return reading_service_pb2.CreateReadingResponse(
            reading=request.reading, duplicate=request.idempotency_key == "seen"
        )

    async def StreamReadings(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for request in request_iterator:
            rejections = [
                reading_pb2.ItemRejection(index=index, reason="VALUE_OUT_OF_RANGE", field="value", message="too cold")
                for index, reading in enumerate(request.readings.readings)
                if reading.value < -273.15
            ]
            yield reading_service_pb2.StreamReadingsResponse(
                sequence=request.sequence,
                accepted=len(request.readings.readings) - len(rejections),
                rejections=rejections,
            )


class Alerts(alert_service_pb2_grpc.AlertServiceServicer):
    """`GetAlert` shows in `reason` what came along as metadata."""

    async def GetAlert(self, request: Any, context: Any) -> Any:
        if request.uid == "gone":
            await refuse(context, errors.NotFound("There is no alert gone.", metadata={"id": "gone"}))
        metadata = dict(context.invocation_metadata())
        shown = " ".join(f"{key}={metadata.get(key, '')}" for key in ("x-request-id", "traceparent"))
        return alert_service_pb2.Alert(uid=request.uid, reason=shown, state=alert_service_pb2.Alert.State.ACCEPTED)


class Payloads(payload_service_pb2_grpc.PayloadServiceServicer):
    """Answers with one reading whose `unit` is the payload's size."""

    async def SubmitPayload(self, request: Any, context: Any) -> Any:
        reading = reading_pb2.Reading(building=request.format, unit=str(len(request.payload.data)))
        return payload_service_pb2.SubmitPayloadResponse(readings=[reading])


class DebtFiles(debt_file_service_pb2_grpc.DebtFileServiceServicer):
    """Counts uploads; the file name `refused.csv` is refused after the first chunk."""

    async def UploadDebtFile(self, request_iterator: Any, context: Any) -> Any:
        name, size, digest, dry_run = "", 0, hashlib.sha256(), False
        async for request in request_iterator:
            if request.WhichOneof("part") == "metadata":
                name, dry_run = request.metadata.filename, request.metadata.dry_run
                continue
            size += len(request.chunk)
            digest.update(request.chunk)
            if name == "refused.csv":
                await refuse(context, errors.InvalidArgument("The header lacks debtId.", reason="HEADER_INVALID"))
        return debt_file_pb2.DebtFile(id="f1", filename=name, bytes=size, sha256=digest.hexdigest(), dry_run=dry_run)

    async def WatchDebtFile(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield debt_file_pb2.DebtFile(id=request.id, rows=1)
        if request.id == "breaks":
            await refuse(context, errors.Unavailable("The database is away."))
        if request.id == "endless":
            await asyncio.Event().wait()
        yield debt_file_pb2.DebtFile(id=request.id, rows=2, state=debt_file_pb2.DebtFile.State.COMPLETED)

    async def DownloadDebtFileRejects(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for line in (b"line,reason\n", b"2,EMAIL_INVALID\n", b"3,EMAIL_INVALID\n"):
            yield httpbody_pb2.HttpBody(content_type="text/csv", data=line)

    async def ListDebtFiles(self, request: Any, context: Any) -> Any:
        return debt_file_service_pb2.ListDebtFilesResponse(
            next_page_token=f"page {request.page} of {request.page_size}"
        )


class Aggregation(aggregation_service_pb2_grpc.AggregationServiceServicer):
    """A stream on which nothing happens, and recomputations that never end (of the room `endless`)."""

    async def WatchWindows(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield window_pb2.Window()

    async def RecomputeWindows(self, request: Any, context: Any) -> Any:
        if request.room == "endless":
            await asyncio.Event().wait()
        return aggregation_service_pb2.RecomputeWindowsResponse(series=2, readings=1_234_567, windows=1440, changed=3)


class Invoices(invoice_service_pb2_grpc.InvoiceServiceServicer):
    """One PDF for all."""

    async def DownloadInvoice(self, request: Any, context: Any) -> Any:
        return httpbody_pb2.HttpBody(content_type="application/pdf", data=b"%PDF-1.7 of " + request.debt.encode())


async def main(port: int) -> None:
    """Serves until SIGTERM."""
    server = grpc.aio.server(options=[("grpc.http2.min_ping_interval_without_data_ms", 10_000)])
    reading_service_pb2_grpc.add_ReadingServiceServicer_to_server(Readings(), server)
    alert_service_pb2_grpc.add_AlertServiceServicer_to_server(Alerts(), server)
    payload_service_pb2_grpc.add_PayloadServiceServicer_to_server(Payloads(), server)
    debt_file_service_pb2_grpc.add_DebtFileServiceServicer_to_server(DebtFiles(), server)
    aggregation_service_pb2_grpc.add_AggregationServiceServicer_to_server(Aggregation(), server)
    invoice_service_pb2_grpc.add_InvoiceServiceServicer_to_server(Invoices(), server)
    healthy = health.aio.HealthServicer()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
