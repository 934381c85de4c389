"""What can be wrong with what ingestion is given, with the reasons of the contract's `ErrorReason`."""

from collections.abc import Sequence
from datetime import timedelta

from services.chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)

MAX_AUTO_REGISTERED = "TOCSIN_INGESTION_MAX_AUTO_REGISTERED"
"""The setting that says how many places of a kind there may be before readings register no more."""


class InvalidField(InvalidArgument):
    """A field breaks its rule."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str, *, rule: str = "INVALID") -> None:
        super().__init__(violations=[FieldViolation(field, description, rule)])


class InvalidFields(InvalidField):
    """Fields break their rules."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        InvalidArgument.__init__(self, violations=violations)


class SensorTypeUnknown(NotFound):
    """The sensor type is not in the catalogue."""

    reason = "SENSOR_TYPE_UNKNOWN"

    def __init__(self, sensor_type: str, field: str = "sensorType") -> None:
        super().__init__(f"the sensor type {sensor_type} is not in the catalogue", metadata={"sensorType": sensor_type})
        self.violations = (FieldViolation(field, self.message, self.reason),)


class ResourceNotFound(NotFound):
    """There is no resource with this id. `field`: what of the request refers to it, where it is not the resource that
    is asked for."""

    def __init__(self, kind: str, name: str, field: str = "") -> None:
        super().__init__(f"there is no {kind} {name}", metadata={"id": name, "kind": kind})
        if field:
            self.violations = (FieldViolation(field, self.message, self.reason),)


class ResourceExists(AlreadyExists):
    """The id is taken. `remedy`: what the caller can do about it."""

    def __init__(self, kind: str, name: str, remedy: str = "") -> None:
        told = f"the {kind} {name} exists already{remedy and f', {remedy}'}"
        super().__init__(told, metadata={"id": name, "kind": kind})


class AlertExists(ResourceExists):
    """The uid is that of an alert with other content."""

    def __init__(self, uid: str) -> None:
        super().__init__("alert", uid)
        self.message = f"there is an alert {uid} already, with other content"


class TooManyPlaces(ResourceExhausted):
    """There are as many places of the kind as readings may register."""

    reason = "REGISTRATION_LIMIT"

    def __init__(self, kind: str, name: str, maximum: int) -> None:
        super().__init__(
            f"there are {maximum} {kind}s: the {kind} {name} is not registered by a reading any more; create it in the "
            f"catalogue, or raise {MAX_AUTO_REGISTERED}",
            metadata={"kind": kind, "id": name, "limit": str(maximum), "setting": MAX_AUTO_REGISTERED},
        )
        self.violations = (FieldViolation(kind, self.message, self.reason),)


class ResourceInUse(FailedPrecondition):
    """The resource is still referred to."""

    reason = "IN_USE"

    def __init__(self, kind: str, name: str, used_by: str) -> None:
        super().__init__(f"the {kind} {name} is still used by {used_by}", metadata={"id": name, "usedBy": used_by})


class EventTimeOutOfRange(InvalidArgument):
    """The event time is too far in the future, or older than the retention."""

    reason = "EVENT_TIME_OUT_OF_RANGE"

    def __init__(self, event_time: str, earliest: str, latest: str) -> None:
        super().__init__(
            violations=[FieldViolation("eventTime", f"must lie between {earliest} and {latest}", self.reason)],
            metadata={"eventTime": event_time, "earliest": earliest, "latest": latest},
        )


class IdempotencyConflict(AlreadyExists):
    """The idempotency key was used with other content."""

    reason = "IDEMPOTENCY_CONFLICT"

    def __init__(self, key: str) -> None:
        super().__init__(metadata={"idempotencyKey": key})


class StreamUnavailable(Unavailable):
    """The readings could not be stored durably now; sending the same again is harmless."""

    reason = "STREAM_UNAVAILABLE"

    def __init__(self, message: str | None = None, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message, retry_after=retry_after)


class FormatUnknown(NotFound):
    """No adapter has this name."""

    reason = "FORMAT_UNKNOWN"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no format {name}", metadata={"format": name, "known": " ".join(known)})


class PayloadNotUnderstood(InvalidArgument):
    """The adapter could not read the payload."""

    reason = "PAYLOAD_NOT_UNDERSTOOD"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(violations=[FieldViolation(field, problem, self.reason)])
        self.field, self.problem = field, problem


class NotALevel(FailedPrecondition):
    """The device does not measure a level and cannot be emptied."""

    reason = "NOT_A_LEVEL"

    def __init__(self, device: str, sensor_type: str) -> None:
        super().__init__(metadata={"device": device, "sensorType": sensor_type})


class VideoNotAllowed(InvalidArgument):
    """The video is outside the allowed origins."""

    reason = "VIDEO_NOT_ALLOWED"

    def __init__(self, video: str, rule: str) -> None:
        super().__init__(violations=[FieldViolation("video", rule, self.reason)], metadata={"video": video})
