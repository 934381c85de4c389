"""Between protobuf messages and the values of the use cases; the only module that knows both."""

from collections.abc import Iterable, Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidArgument
from services.chassis.grpc.status import code_of
from services.chassis.grpc.timestamps import time_of, timestamp
from services.ingestion.application.ports import Quarantined
from services.ingestion.domain.alert import Alert, AlertFilter, AlertState
from services.ingestion.domain.alert_history import AlertHistory
from services.ingestion.domain.errors import InvalidField
from services.ingestion.domain.reading import RawReading, Rejection, StoredReading
from services.ingestion.domain.reading_columns import Floats, Indices, Longs
from services.ingestion.domain.recent_readings import Conflict
from services.ingestion.domain.series import SeriesKey
from tocsin.ingestion.v1 import alert_service_pb2, payload_service_pb2, reading_pb2, reading_service_pb2

MAX_ROWS = 10_000
MAX_EXPLAINED = 1000


def raw_reading(message: reading_pb2.Reading) -> RawReading:
    """Absent fields become None; nothing is judged here. Nanoseconds are cut to microseconds."""
    event_time_us = None
    if message.HasField("event_time"):
        event_time_us = message.event_time.seconds * 1_000_000 + message.event_time.nanos // 1000
    return RawReading(
        message.building,
        message.room,
        message.sensor_type,
        message.device,
        message.value if message.HasField("value") else None,
        message.unit,
        event_time_us,
    )


def reading(stored: StoredReading) -> reading_pb2.Reading:
    """The reading as it is stored."""
    key = stored.series.key
    return reading_pb2.Reading(
        building=key.building,
        room=key.room,
        sensor_type=key.sensor_type,
        device=key.device,
        value=stored.value,
        unit=stored.series.type.unit,
        event_time=timestamp_us(stored.event_time_us),
    )


def conflict(found: Conflict) -> reading_pb2.ReadingConflict:
    """As it goes out."""
    return reading_pb2.ReadingConflict(
        index=found.row,
        outcome="SUPERSEDES" if found.wins else "IGNORED",
        counting_value=found.counting,
        other_value=found.other if found.wins else found.value,
    )


def conflicts(found: Sequence[Conflict]) -> list[reading_pb2.ReadingConflict]:
    """The first of them, as they go out."""
    return [conflict(item) for item in found[:MAX_EXPLAINED]]


def rejections(found: Iterable[Rejection]) -> list[reading_pb2.ItemRejection]:
    """As they go out."""
    return [
        reading_pb2.ItemRejection(
            index=item.index,
            reason=item.reason,
            field=item.field,
            message=item.message,
        )
        for item in found
    ]


def explained(found: Sequence[Rejection]) -> list[reading_pb2.ItemRejection]:
    """As `rejections`, with what a call with each item alone would tell. All of them would not fit into a message."""
    messages = rejections(found)
    for item, message in zip(found, messages[:MAX_EXPLAINED], strict=False):
        message.code = code_of(item.error).value[0]
        message.metadata.update(item.error.metadata)
        if item.reason == "INVALID_FIELD" and isinstance(item.error, InvalidArgument):
            for broken in item.error.violations:
                message.violations.add(field=broken.field, rule=broken.reason, message=broken.description)
    return messages


def table(series: Iterable[reading_pb2.ReadingColumns.Series]) -> list[tuple[SeriesKey, str]]:
    """(series, unit) of each entry."""
    return [(SeriesKey(s.building, s.room, s.sensor_type, s.device), s.unit) for s in series]


def columns(message: reading_pb2.ReadingColumns) -> tuple[Indices, Longs, Floats]:
    """The three columns as arrays (copies made by the runtime in one go). Raises InvalidField when they do not fit
    together."""
    rows = len(message.value)
    for name, length in (("seriesIndex", len(message.series_index)), ("eventTimeUs", len(message.event_time_us))):
        if length != rows:
            raise InvalidField(f"columns.{name}", f"has {length} rows where value has {rows}", rule="SAME_LENGTH")
    _bounded("columns.value", rows)
    _bounded("columns.series", len(message.series))
    return (
        np.array(message.series_index, np.uint32),
        np.array(message.event_time_us, np.int64),
        np.array(message.value, np.float64),
    )


def rows(message: reading_service_pb2.StreamReadingsRequest.ReadingList) -> list[RawReading]:
    """A batch in rows. Raises InvalidField when it is empty or too long."""
    _bounded("readings.readings", len(message.readings))
    return [raw_reading(item) for item in message.readings]


def _bounded(name: str, count: int) -> None:
    if not 1 <= count <= MAX_ROWS:
        raise InvalidField(name, f"must have 1 to {MAX_ROWS} items, has {count}", rule="ITEMS")


def quarantined(kept: Quarantined) -> payload_service_pb2.QuarantinedPayload:
    """As it goes out."""
    return payload_service_pb2.QuarantinedPayload(
        id=kept.id,
        format=kept.format,
        payload=kept.payload,
        reason=kept.reason,
        field=kept.field,
        create_time=timestamp(kept.create_time),
    )


def new_alert(request: alert_service_pb2.CreateAlertRequest) -> Alert:
    """The alert that is reported."""
    return Alert(request.uid, request.video, request.timestamp, request.store)


def alert(stored: Alert) -> alert_service_pb2.Alert:
    """As it goes out; one that is not stored has no state."""
    return alert_service_pb2.Alert(
        uid=stored.uid,
        video=stored.video,
        timestamp=stored.timestamp,
        store=stored.store,
        state=alert_service_pb2.Alert.State.Name(int(stored.state) if stored.create_time else 0),  # pyright: ignore[reportArgumentType] - same numbers
        reason=stored.reason,
        create_time=timestamp(stored.create_time),
        update_time=timestamp(stored.update_time),
    )


def alert_filter(request: alert_service_pb2.ListAlertsRequest) -> AlertFilter:
    """Which alerts are wanted."""
    since, until = (at.timestamp() if (at := time_of(request, name)) else None for name in ("from", "to"))
    return AlertFilter(request.store, AlertState(request.state) if request.state else None, since, until)


def alert_history(history: AlertHistory) -> alert_service_pb2.GetAlertHistoryResponse:
    """As it goes out."""
    response = alert_service_pb2.GetAlertHistoryResponse
    return response(
        entries=[
            response.Entry(
                kind=response.Kind.Name(int(entry.kind)),  # pyright: ignore[reportArgumentType] - same numbers
                time=timestamp(entry.time),
                attempt=entry.attempt,
                reason=entry.reason,
                message=entry.message,
                subscription=entry.subscription,
                origin=entry.origin,
            )
            for entry in history.entries
        ],
        missing=history.missing,
    )


def alerts(stored: Sequence[Alert]) -> list[alert_service_pb2.Alert]:
    """As they go out."""
    return [alert(item) for item in stored]


def timestamp_us(microseconds: int) -> Timestamp:
    """From microseconds since the Unix epoch."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)
