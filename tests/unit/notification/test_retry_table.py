"""The table of `docs/notifications.md` says what the code does with each answer of a provider."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.notification.domain.delivery import Failure, FailureKind, Outcome
from services.notification.domain.fcm_errors import classify_fcm
from services.notification.domain.http_replies import classify_http
from services.notification.domain.smtp_replies import classify_smtp

_DOCUMENT = Path(__file__).parents[3] / "docs" / "notifications.md"

FCM = {
    "`UNREGISTERED`": classify_fcm(404, "UNREGISTERED"),
    "`INVALID_ARGUMENT` about the token": classify_fcm(400, "INVALID_ARGUMENT", field="message.token"),
    "`INVALID_ARGUMENT` about the message": classify_fcm(400, "INVALID_ARGUMENT", field="message.data"),
    "`SENDER_ID_MISMATCH`": classify_fcm(403, "SENDER_ID_MISMATCH"),
    "`THIRD_PARTY_AUTH_ERROR`": classify_fcm(401, "THIRD_PARTY_AUTH_ERROR"),
    "`QUOTA_EXCEEDED`": classify_fcm(429, "QUOTA_EXCEEDED"),
    "`UNAVAILABLE`": classify_fcm(503, "UNAVAILABLE"),
    "`INTERNAL`": classify_fcm(500, "INTERNAL"),
    "401 or 403 without such a code": classify_fcm(403, ""),
    "429 without one": classify_fcm(429, ""),
    "500 and above, 408, without one": classify_fcm(502, ""),
    "any other status without one": classify_fcm(413, ""),
}
SMTP = {
    "5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10: no such address": classify_smtp(550, "5.1.1 no such user"),
    "any 5xx before a recipient is named: our server, our sender": classify_smtp(550, "5.1.8 no", about_us=True),
    "any other 5xx": classify_smtp(554, "5.7.1 refused"),
    "530, 534, 535, 538: our login": classify_smtp(535, "5.7.8 bad credentials"),
    "4.2.2, 5.2.2, or 552 alone: the mailbox is full": classify_smtp(552, "full"),
    "450 or 451 with 4.7.x: greylisting": classify_smtp(451, "4.7.1 greylisted"),
    "any other 4.7.x: too many": classify_smtp(421, "4.7.0 slow down"),
    "any other 4xx": classify_smtp(421, "closing"),
}
WEBHOOK = {
    "410": classify_http(410, None),
    "429, 502, 503, 504": classify_http(503, None),
    "3xx (never followed), any other 4xx or 5xx": classify_http(400, None),
}


def _row(provider: str, answer: str, outcome: Outcome) -> str:
    assert isinstance(outcome, Failure)
    again = "none"
    if outcome.kind is not FailureKind.PERMANENT:
        again = "by the schedule" if outcome.floor is None else f"by the schedule, at least {_time(outcome.floor)}"
    follows = ", ".join(
        word for word, said in (("forgotten", outcome.endpoint_gone), ("operator told", outcome.critical)) if said
    )
    return f"| {provider} | {answer} | `{outcome.code}` | {again} | {follows} |".replace("|  |", "| |")


def _time(floor: timedelta) -> str:
    seconds = int(floor.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@pytest.mark.parametrize(("provider", "cases"), [("FCM", FCM), ("e-mail", SMTP), ("webhook", WEBHOOK)])
def test_the_table_is_what_the_code_does(provider: str, cases: dict[str, Outcome]) -> None:
    rows = [_row(provider, answer, outcome) for answer, outcome in cases.items()]
    written = [line for line in _DOCUMENT.read_text().splitlines() if line.startswith(f"| {provider} |")]
    assert written == rows, "write:\n" + "\n".join(rows)
