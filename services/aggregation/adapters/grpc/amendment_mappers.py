"""Messages about stored readings, and what people make of them."""

from google.protobuf.timestamp_pb2 import Timestamp

from services.aggregation.application.partition.amendment_request import AmendmentDone, AmendReading, VoidRange
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.late.amendments import Amendment
from services.aggregation.domain.series import SeriesKey
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2 as wm


def moment(field: str, moment: Timestamp) -> int:
    """In microseconds. Raises FieldInvalid for what is no instant: REST has no words for it, gRPC has numbers."""
    try:
        return moment.ToMicroseconds()
    except ValueError:
        raise FieldInvalid(field, "must lie in the years 1 to 9999, with nanoseconds from 0 to 999999999") from None


def void_command(request: pb.VoidReadingRequest, author: str) -> AmendReading:
    """The command."""
    return AmendReading(
        request.building,
        request.room,
        request.sensor_type,
        request.device,
        moment("eventTime", request.event_time),
        None,
        author,
        request.reason,
    )


def range_command(request: pb.VoidReadingsRequest, author: str) -> VoidRange:
    """The command. (`from` is a word of Python: the field is read by name.)"""
    return VoidRange(
        SeriesKey(request.building, request.room, request.sensor_type, request.device),
        moment("from", getattr(request, "from")),
        moment("to", request.to),
        author,
        request.reason,
    )


def replace_command(request: pb.ReplaceReadingRequest, author: str) -> AmendReading:
    """The command."""
    return AmendReading(
        request.building,
        request.room,
        request.sensor_type,
        request.device,
        moment("eventTime", request.event_time),
        request.value,
        author,
        request.reason,
        request.unit,
    )


def amended_message(command: AmendReading, done: AmendmentDone) -> wm.StoredReading:
    """How the reading stands."""
    return stored_reading(command.device, command.time, done.value, done.amendment)


def stored_reading(device: str, time: int, value: float, amendment: Amendment | None) -> wm.StoredReading:
    """A raw reading."""
    message = wm.StoredReading(value=value, device=device)
    message.event_time.FromMicroseconds(time)
    if amendment is not None:
        message.amendment.CopyFrom(
            wm.Amendment(
                kind=wm.Amendment.Kind.Name(int(amendment.kind)),  # pyright: ignore[reportArgumentType] - same numbers
                original_value=amendment.original,
                author=amendment.author,
                reason=amendment.reason,
            )
        )
        message.amendment.create_time.FromMicroseconds(amendment.created)
    return message
