"""What people read about an alarm: one sentence each."""

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


def sentence(rule: AlarmRule, key: SeriesKey, unit: str, value: float | None) -> str:
    """What was seen, and what it was evaluated by. `value` as in `Alarm.value` (a rate's: the steepness per hour; a
    flat line's: its first value, which the others are compared with)."""
    of, seen = subject(key), "-" if value is None else f"{value:.6g}"
    unit = f" {unit}" if unit else ""
    match rule.condition:
        case Threshold(above=above, limit=limit, min_duration=duration):
            lasting = f" for {span(duration)}" if duration else ""
            return f"{of} is {seen}{unit}: {'above' if above else 'below'} {limit:.6g}{unit}{lasting}"
        case Completeness(below=below, covered=covered, step=step):
            share = "-" if value is None else f"{value:.1%}"
            what = "time is covered" if covered else "readings were received"
            return f"{of}: {share} of the {what} in a window of {span(step)}, less than {below:.6g}"
        case NoData(after=after):
            return f"{of}: no data for {span(after)}"
        case FlatLine(duration=duration, tolerance=tolerance):
            where = f"within {tolerance:.6g}{unit} of" if tolerance else "at"
            return f"{of} has stayed {where} {seen}{unit} for {span(duration)}"
        case RateOfChange(limit_per_hour=limit, direction=direction):
            verb = {Direction.RISING: "rises", Direction.FALLING: "falls"}.get(direction, "changes")
            return f"{of} {verb} by {seen}{unit} an hour: more than {limit:.6g}{unit}"
        case ContainerFull(level=level):
            return f"{of} is at {seen}{unit}: full from {level:.6g}{unit}"
        case ContainerEmptied():
            return f"{of} was emptied"
