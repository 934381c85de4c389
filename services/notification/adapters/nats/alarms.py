"""Consumes notices of raised alarms: a notification for each person they name, once however often a notice comes."""

import json
from collections.abc import Awaitable, Callable

from services.chassis.nats import ConsumerOptions, Delivery, Permanent
from services.chassis.nats.topology import ALARM_NOTICE_SUBJECT, ALARM_NOTICES
from services.notification.adapters.nats.events import SERVICE
from services.notification.application.sending import Sender
from services.notification.domain.errors import TenantUnknown
from services.notification.domain.notification import Draft, Type
from tocsin.events.v1.alarms_pb2 import AlarmNotice

OPTIONS = ConsumerOptions(
    service=SERVICE, name="alarms", stream=ALARM_NOTICES, subjects=(ALARM_NOTICE_SUBJECT,), max_in_flight=8
)


def alarms_handler(sender: Sender) -> Callable[[Delivery], Awaitable[None]]:
    """The handler. A notice of a tenant that the deployment does not have goes to the dead letters."""

    async def handle(delivery: Delivery) -> None:
        notice = delivery.decode(AlarmNotice)
        try:
            await sender.send_for_event(delivery.id, drafts_of(notice))
        except TenantUnknown as error:
            raise Permanent(f"the deployment has no tenant {notice.tenant!r}") from error

    return handle


def drafts_of(notice: AlarmNotice) -> list[Draft]:
    """What each person is sent; a person who is named twice is told once."""
    data = {
        "alarm": notice.alarm,
        "rule": notice.rule,
        "severity": notice.severity,
        "building": notice.building,
        "room": notice.room,
        "sensorType": notice.sensor_type,
        "device": notice.device,
        "raiseTime": notice.raise_time.ToJsonString(),
    }
    if notice.cleared:
        data["cleared"] = "true"
    return [
        Draft(
            tenant=notice.tenant,
            user=user,
            type=Type.ALERT,
            title=notice.title,
            body=notice.body,
            data=json.dumps(data),
            idempotency_key=f"alarm-{notice.alarm}-{'over-' if notice.cleared else ''}{user}",
            urgent=notice.severity == "CRITICAL" and not notice.cleared,
        )
        for user in dict.fromkeys(notice.users)
    ]
