"""Times in messages."""

from datetime import UTC, datetime
from typing import Any, Protocol, cast

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import FieldViolation, InvalidArgument


class HasFields(Protocol):
    """A message that knows which of its fields are there."""

    def HasField(self, field_name: Any, /) -> bool:
        """Whether the field is there."""
        ...


def timestamp(at: datetime | None) -> Timestamp | None:
    """As protobuf has it; None stays None (the field is absent)."""
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message


def time_of(message: HasFields, field: str) -> datetime | None:
    """The time in a field, aware (UTC); None when it is absent. Raises InvalidArgument for one that there is not."""
    if not message.HasField(field):
        return None
    try:
        return cast(Timestamp, getattr(message, field)).ToDatetime(UTC)
    except ValueError as error:
        violation = FieldViolation(field, "must be a time between the years 1 and 9999", "TIME_INVALID")
        raise InvalidArgument(violations=[violation], reason="INVALID_FIELD") from error
