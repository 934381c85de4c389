"""What is told of alarms, as events: raised and cleared to everybody, whom to tell to the notification service."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message

from services.aggregation.domain.alarms.alarm import Alarm, AlarmEvent, State
from services.aggregation.domain.alarms.rule import Audience
from services.aggregation.domain.alarms.wording import over_sentence
from services.aggregation.domain.times import SECOND
from services.chassis.nats import Event
from services.chassis.nats.topology import ALARM_CLEARED_SUBJECT, ALARM_NOTICE_SUBJECT, ALARM_RAISED_SUBJECT
from tocsin.events.v1.alarms_pb2 import AlarmCleared, AlarmNotice, AlarmRaised


def alarm_events(alarms: Iterable[AlarmEvent]) -> list[Event]:
    """The events. Their ids are made of the alarm's, so that a repeat is known as one; those of one alarm leave in
    their order."""
    return [event for one in alarms for event in _events(one)]


def _events(one: AlarmEvent) -> Sequence[Event]:
    alarm = one.alarm
    if alarm.state is State.CLEARED:
        cleared = AlarmCleared(alarm=alarm.id, rule=alarm.rule, value=one.value, cause=alarm.cause.name)
        at = alarm.cleared or 0
        cleared.clear_time.FromMicroseconds(at)
        events = [_event(ALARM_CLEARED_SUBJECT, cleared, alarm, "cleared", at)]
        if one.audience is not None and one.audience.cleared and _told(one):
            over = _notice(alarm, one.audience._replace(title=f"Over: {one.audience.title}"), alarm.raised or 0)
            over.body, over.cleared = over_sentence(alarm), True
            events.append(_event(ALARM_NOTICE_SUBJECT, over, alarm, "notice-cleared", at))
        return events
    at = alarm.raised or 0
    raised = AlarmRaised(
        alarm=alarm.id,
        rule=alarm.rule,
        kind=alarm.kind,
        building=alarm.key.building,
        room=alarm.key.room,
        sensor_type=alarm.key.sensor_type,
        device=alarm.key.device,
        value=one.value,
        message=alarm.message,
        unit=alarm.unit,
        severity=alarm.severity.name,
        historical=alarm.historical,
    )
    raised.raise_time.FromMicroseconds(at)
    events = [_event(ALARM_RAISED_SUBJECT, raised, alarm, "lasting" if one.again else "raised", at)]
    if one.audience is not None and _told(one):
        events.append(_event(ALARM_NOTICE_SUBJECT, _notice(alarm, one.audience, at), alarm, "notice", at))
    return events


def _told(one: AlarmEvent) -> bool:
    """Whether there is anybody to tell."""
    return one.audience is not None and bool(one.audience.users) and not one.alarm.historical


def _notice(alarm: Alarm, audience: Audience, at: int) -> AlarmNotice:
    notice = AlarmNotice(
        alarm=alarm.id,
        rule=alarm.rule,
        tenant=audience.tenant,
        users=audience.users,
        title=audience.title,
        body=alarm.message,
        severity=alarm.severity.name,
        building=alarm.key.building,
        room=alarm.key.room,
        sensor_type=alarm.key.sensor_type,
        device=alarm.key.device,
    )
    notice.raise_time.FromMicroseconds(at)
    return notice


def _event(subject: str, message: Message, alarm: Alarm, what: str, at: int) -> Event:
    return Event(
        subject,
        message,
        id=f"alarm-{alarm.id}-{what}",
        time=datetime.fromtimestamp(at / SECOND, UTC),
        key=f"alarm-{alarm.id}",
    )
