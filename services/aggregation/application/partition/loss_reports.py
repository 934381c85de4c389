"""Tells operators what the broker has lost: an alarm that stays until somebody has acknowledged it."""

from collections.abc import Sequence
from typing import Final

import structlog

from services.aggregation.application import metrics
from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges, AlarmEvent, State, alarm_id
from services.aggregation.domain.alarms.rule import Audience, Severity
from services.aggregation.domain.partition.continuity import Cause, Lost
from services.aggregation.domain.series import SeriesKey

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

RULE: Final = "readings-lost"
KIND: Final = "READINGS_LOST"
TITLE: Final = "Readings lost"
_NOBODY: Final = Audience("", (), TITLE)
_HOW = {
    Cause.STREAM_CUT: "the stream of readings came back shorter",
    Cause.STREAM_REPLACED: "the stream of readings is another one than before",
}


class LossReports:
    """Makes alarms of what is lost; `audience` is notified of each."""

    def __init__(self, audience: Audience = _NOBODY) -> None:
        self._audience = audience._replace(title=TITLE)

    def add(self, changes: AlarmChanges, partition: int, lost: Sequence[Lost], now: int) -> None:
        """To be stored with the position that goes past it; `now` in microseconds."""
        for number, one in enumerate(lost):
            alarm = _alarm(partition, one, now, number)
            changes.new.append(alarm)
            changes.events.append(AlarmEvent(alarm, self._audience, alarm.value))

    @staticmethod
    def report(partition: int, lost: Sequence[Lost]) -> None:
        """It is stored."""
        for one in lost:
            metrics.LOST.labels(one.cause.value).inc()
            log.error(
                "aggregation.readings_lost",
                partition=partition,
                cause=one.cause.value,
                first_sequence=one.first,
                last_sequence=one.last,
            )


def _alarm(partition: int, lost: Lost, now: int, number: int) -> Alarm:
    exact = lost.last is not None
    return Alarm(
        id=alarm_id(0, partition, now, number),
        rule=RULE,
        generation=0,
        kind=KIND,
        severity=Severity.CRITICAL if exact else Severity.WARNING,
        series_id=0,
        key=SeriesKey("", "", "", ""),
        unit="",
        state=State.RAISED,
        start=now,
        update=now,
        raised=now,
        message=_message(partition, lost),
    )


def _message(partition: int, lost: Lost) -> str:
    if lost.last is not None:
        return (
            f"the broker has lost readings that it had acknowledged: messages {lost.first} to {lost.last} of "
            f"partition {partition}"
        )
    return (
        f"{_HOW[lost.cause]}: readings that were acknowledged after message {lost.first - 1} of partition {partition} "
        "and not processed, if there were any, are lost"
    )
