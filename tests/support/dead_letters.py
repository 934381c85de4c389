"""A dead letter, as any."""

from datetime import UTC, datetime, timedelta

from services.notification.adapters.nats.events import RETRY_SUBJECT
from services.notification.domain.dead_letter import DeadLetter, FailedAttempt, ReasonClass

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEFORE = AT - timedelta(hours=1)
LETTER = DeadLetter(
    name="dead:1",
    about="notification/deliveries/1",
    service="notification",
    consumer="deliveries",
    subject=RETRY_SUBJECT,
    type="tocsin.events.v1.DebtsRegistered",
    tenant="test",
    reason_class=ReasonClass.REFUSED,
    reason="HTTP_404: gone",
    attempts=2,
    history=(
        FailedAttempt(at=BEFORE, error_type="HTTP_500", reason="HTTP_500: busy"),
        FailedAttempt(at=AT, error_type="HTTP_404", reason="HTTP_404: gone"),
    ),
    first_seen=BEFORE,
    dead_at=AT,
    headers={"ce-type": "tocsin.events.v1.DebtsRegistered"},
    payload=b"\x00payload",
)
