"""The servicer of readings: message -> use case -> message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from services.ingestion.adapters.grpc import mappers as to
from services.ingestion.application.ordered_pipeline import answer_in_order
from services.ingestion.application.readings import CreateReading, CreateReadings, Pending, Readings
from services.ingestion.domain.errors import InvalidField
from services.ingestion.domain.reading_columns import Floats, Indices, Longs, SeriesTable
from tocsin.ingestion.v1 import reading_pb2
from tocsin.ingestion.v1 import reading_service_pb2 as pb
from tocsin.ingestion.v1.reading_service_pb2_grpc import ReadingServiceServicer


class ReadingServicer(ReadingServiceServicer):
    """See reading_service.proto."""

    def __init__(self, readings: Readings, *, stream_in_flight: int) -> None:
        self._readings = readings
        self._in_flight = stream_in_flight

    async def CreateReading(self, request: pb.CreateReadingRequest, context: Any) -> pb.CreateReadingResponse:
        command = CreateReading(to.raw_reading(request.reading), request.idempotency_key)
        created = await self._readings.create(command)
        answer = pb.CreateReadingResponse(reading=to.reading(created.reading), duplicate=created.duplicate)
        if created.conflict is not None:
            answer.conflict.CopyFrom(to.conflict(created.conflict))
        return answer

    async def BatchCreateReadings(
        self, request: pb.BatchCreateReadingsRequest, context: Any
    ) -> pb.BatchCreateReadingsResponse:
        command = CreateReadings([to.raw_reading(item) for item in request.readings], request.idempotency_key)
        created = await self._readings.create_many(command)
        return pb.BatchCreateReadingsResponse(
            accepted=created.accepted,
            rejections=to.explained(created.rejections),
            duplicate=created.duplicate,
            ignored=created.ignored,
            conflicts=to.conflicts(created.conflicts),
        )

    async def ImportReadings(
        self, request_iterator: AsyncIterator[reading_pb2.Reading], context: Any
    ) -> pb.ImportReadingsResponse:
        imported = await self._readings.import_all(to.raw_reading(item) async for item in request_iterator)
        return pb.ImportReadingsResponse(
            accepted=imported.accepted,
            rejected=imported.rejected,
            rejections=to.explained(imported.rejections),
            ignored=imported.ignored,
            conflicts=to.conflicts(imported.conflicts),
        )

    async def StreamReadings(
        self, request_iterator: AsyncIterator[pb.StreamReadingsRequest], context: Any
    ) -> AsyncIterator[pb.StreamReadingsResponse]:
        stream = _Stream(self._readings)
        async with aclosing(answer_in_order(request_iterator, stream.begin, limit=self._in_flight)) as answers:
            async for answer in answers:
                yield answer


class _Stream:
    """One stream: batches under way, and the table of series that was resolved last (clients repeat it)."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._last: tuple[int, Any, SeriesTable] | None = None

    async def begin(self, request: pb.StreamReadingsRequest) -> "asyncio.Future[pb.StreamReadingsResponse]":
        """Sets a batch under way; the future is its answer."""
        match request.WhichOneof("batch"):
            case "columns":
                index, event_time_us, value = to.columns(request.columns)
                table = await self._table(request.columns, index, event_time_us, value)
                pending = await self._readings.start_columns(table, index, event_time_us, value)
            case "readings":
                pending = await self._readings.start(to.rows(request.readings))
            case _:
                raise InvalidField("batch", "readings or columns is required", rule="REQUIRED")
        return asyncio.ensure_future(_answer(request.sequence, pending, explain=request.explain))

    async def _table(
        self, columns: reading_pb2.ReadingColumns, index: Indices, event_time_us: Longs, value: Floats
    ) -> SeriesTable:
        version = self._readings.catalogue_version
        if self._last is not None and self._last[0] == version and self._last[1] == columns.series:
            return self._last[2]
        table, complete = await self._readings.table(to.table(columns.series), index, event_time_us, value)
        self._last = (self._readings.catalogue_version, columns.series, table) if complete else None
        return table


async def _answer(sequence: int, pending: Pending, *, explain: bool) -> pb.StreamReadingsResponse:
    # Written while the broker stores the others.
    answer = pb.StreamReadingsResponse(
        sequence=sequence,
        accepted=pending.accepted,
        rejections=(to.explained if explain else to.rejections)(pending.rejections),
    )
    done = await pending.outcome()
    if done.conflicts:
        answer.accepted, answer.ignored = done.accepted, done.ignored
        answer.conflicts.extend(to.conflicts(done.conflicts))
    return answer
