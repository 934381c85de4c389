"""What people read about an alarm: one sentence each."""

from datetime import UTC, datetime

from services.aggregation.domain.alarms.alarm import Alarm, Cause
from services.aggregation.domain.alarms.limits import from_canonical, given
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Completeness,
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.series import SeriesKey
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND


def span(microseconds: int) -> str:
    """A length of time in its largest fitting unit: `90 s`, `15 min`, `2 h`, `1 d`."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if microseconds >= unit and microseconds % unit == 0:
            return f"{microseconds // unit} {name}"
    return f"{microseconds / SECOND:g} s"


def subject(key: SeriesKey) -> str:
    """The series."""
    device = f" (device {key.device})" if key.device else ""
    return f"{key.sensor_type} in {key.building}/{key.room}{device}"


def sentence(rule: AlarmRule, key: SeriesKey, unit: str, value: float | None, at: int) -> str:
    """What was seen and when (event time), and what it was evaluated by, in the unit of the rule. `value` as in
    `Alarm.value` (a rate's: the steepness per hour; a flat line's: its first value, which the others are compared
    with)."""
    return f"{_seen(rule, key, unit, value)} ({moment(at)})"


_OVER = {
    Cause.CONDITION_ENDED: "it is over",
    Cause.CLOSED_BY_HAND: "it was closed by hand",
    Cause.DEVICE_LEFT: "the device was moved or deleted",
    Cause.RULE_CHANGED: "the rule was changed, disabled or deleted",
    Cause.READING_AMENDED: "it was none: somebody has amended the reading",
}


def over_sentence(alarm: Alarm) -> str:
    """That an alarm is over, why and since when, and what it had been about."""
    why = _OVER.get(alarm.cause, "it is over")
    why = f"{why}: {alarm.close_reason}" if alarm.close_reason else why
    return f"{why} ({moment(alarm.cleared or alarm.update)}). It had been: {alarm.message}"


def moment(at: int) -> str:
    """`2026-11-29 12:00:05 UTC`."""
    return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def number(value: float) -> str:
    """With all its digits, but for the noise of arithmetic."""
    return f"{value:.12g}"


def _seen(rule: AlarmRule, key: SeriesKey, unit: str, value: float | None) -> str:
    of, people = subject(key), from_canonical(rule)
    unit = rule.unit or unit
    unit = f" {unit}" if unit else ""
    slope = isinstance(rule.condition, RateOfChange)
    seen = "-" if value is None else number(value * people.scale if slope else people.shown(value))
    match given(rule):
        case Threshold(above=above, limit=limit, min_duration=duration):
            lasting = f" for {span(duration)}" if duration else ""
            return f"{of} is {seen}{unit}: {'above' if above else 'below'} {number(limit)}{unit}{lasting}"
        case Completeness(below=below, covered=covered, step=step):
            share = "-" if value is None else f"{value:.1%}"
            what = "time is covered" if covered else "readings were received"
            return f"{of}: {share} of the {what} in a window of {span(step)}, less than {number(below)}"
        case NoData(after=after):
            return f"{of}: no data for {span(after)}"
        case FlatLine(duration=duration, tolerance=tolerance):
            where = f"within {number(tolerance)}{unit} of" if tolerance else "at"
            return f"{of} has stayed {where} {seen}{unit} for {span(duration)}"
        case RateOfChange(limit_per_hour=limit, direction=direction):
            verb = {Direction.RISING: "rises", Direction.FALLING: "falls"}.get(direction, "changes")
            return f"{of} {verb} by {seen}{unit} an hour: more than {number(limit)}{unit}"
        case ContainerFull(level=level):
            return f"{of} is at {seen}{unit}: full from {number(level)}{unit}"
        case ContainerEmptied():
            return f"{of} was emptied"
