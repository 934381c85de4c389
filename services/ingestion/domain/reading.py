"""One reading and the judgement on it: unit, limits, event time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.errors import DomainError, FieldViolation
from services.ingestion.domain.errors import EventTimeOutOfRange, InvalidField, InvalidFields
from services.ingestion.domain.series import Series, SeriesKey, broken_ids

_MAX_UNIT = 16
_REQUIRED, _FINITE = "value is required", "must be finite"
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RawReading:
    """A reading as it was sent. `event_time_us`: microseconds since the Unix epoch, None = on arrival."""

    building: str
    room: str
    sensor_type: str
    device: str
    value: float | None
    unit: str
    event_time_us: int | None


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A reading as it is stored: canonical unit, event time filled in."""

    series: Series
    event_time_us: int
    value: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the item `index` of a batch was not accepted: what it would have been refused with alone."""

    index: int
    error: DomainError

    @property
    def reason(self) -> str:
        """Of the error."""
        return self.error.reason

    @property
    def field(self) -> str:
        """That is to blame, in JSON spelling; empty for the whole item."""
        violations = self.error.violations
        return violations[0].field if violations else ""

    @property
    def message(self) -> str:
        """What is wrong with the field."""
        violations = self.error.violations
        return violations[0].description if violations else self.error.message


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How far from now an event time may lie."""

    future: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=400)

    def at(self, now_us: int) -> tuple[int, int]:
        """Earliest and latest acceptable event time, in microseconds."""
        return now_us - self.retention // _MICROSECOND, now_us + self.future // _MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """The instant; exact."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_microseconds(instant: datetime) -> int:
    """Microseconds since the Unix epoch; exact."""
    return (instant - _EPOCH) // _MICROSECOND


def time_text(microseconds: int) -> str:
    """RFC 3339 text, or the bare number where no calendar reaches."""
    try:
        return to_datetime(microseconds).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{microseconds} us"


def broken_rules(raw: RawReading) -> InvalidFields | None:
    """All rules of the contract that a reading breaks, where a judgement stops at the first one."""
    broken = broken_ids(SeriesKey(raw.building, raw.room, raw.sensor_type, raw.device))
    if raw.value is None:
        broken.append(FieldViolation("value", _REQUIRED, "REQUIRED"))
    elif not math.isfinite(raw.value):
        broken.append(FieldViolation("value", _FINITE, "DOUBLE_FINITE"))
    if len(raw.unit) > _MAX_UNIT:
        broken.append(FieldViolation("unit", f"must be at most {_MAX_UNIT} characters", "STRING_MAX_LEN"))
    return InvalidFields(broken) if broken else None


def canonical_value(value: float | None, unit: str, series: Series) -> float:
    """The value in the canonical unit, within the limits of the series.

    Raises InvalidField (missing or not finite), UnitUnknown, ValueOutOfRange.
    """
    if value is None:
        raise InvalidField("value", _REQUIRED, rule="REQUIRED")
    if not math.isfinite(value):
        raise InvalidField("value", _FINITE, rule="DOUBLE_FINITE")
    return series.limits.canonical(value, unit)


def check_event_time(event_time_us: int, now_us: int, limits: TimeLimits) -> int:
    """Returns the event time. Raises EventTimeOutOfRange."""
    earliest, latest = limits.at(now_us)
    if not earliest <= event_time_us <= latest:
        raise EventTimeOutOfRange(time_text(event_time_us), time_text(earliest), time_text(latest))
    return event_time_us
