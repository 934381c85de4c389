"""What providers' answers mean, by their typed codes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain.delivery import Failure, FailureKind, Sent
from services.notification.domain.fcm_errors import classify_fcm
from services.notification.domain.http_replies import classify_http
from services.notification.domain.smtp_replies import classify_smtp

P, T, X = FailureKind.PERMANENT, FailureKind.TRANSIENT, FailureKind.THROTTLED


@pytest.mark.parametrize(
    ("code", "text", "kind", "floor", "gone", "critical"),
    [
        (421, "4.3.2 closing", T, 0, False, False),
        (450, "later", T, 0, False, False),
        (451, "4.7.1 greylisted", X, 300, False, False),
        (421, "4.7.28 rate", X, 60, False, False),
        (550, "5.1.1 unknown", P, 0, True, False),
        (550, "unknown user 5.1.1", P, 0, False, False),
        (550, "4.2.1 busy", T, 0, False, False),
        (450, "5.7.1 never", P, 0, False, False),
        (554, "5.7.1 spam", P, 0, False, False),
        (552, "too much", T, 3600, False, False),
        (552, "5.3.4 message too big", P, 0, False, False),
        (552, "5.2.3 longer than the mailbox takes", P, 0, False, False),
        (552, "5.2.2 full", T, 3600, False, False),
        (550, "5.2.2 full", T, 3600, False, False),
        (535, "5.7.8 bad login", T, 60, False, True),
        (530, "5.7.0 log in first", T, 60, False, True),
        (501, "syntax", P, 0, False, False),
        (553, "5.1.3 syntax", P, 0, True, False),
    ],
)
def test_smtp(code: int, text: str, kind: FailureKind, floor: int, gone: bool, critical: bool) -> None:
    failure = classify_smtp(code, text)
    assert (failure.kind, failure.endpoint_gone, failure.critical) == (kind, gone, critical)
    assert (failure.floor or timedelta(0)) == timedelta(seconds=floor)
    assert failure.code.startswith(f"SMTP_{code}")


@pytest.mark.parametrize(
    ("code", "text", "kind", "floor", "critical"),
    [
        (550, "5.1.1 sender unknown", T, 60, True),
        (550, "5.1.2 domain of the sender unknown", T, 60, True),
        (553, "5.1.8 sender refused", T, 60, True),
        (554, "no service for you", T, 60, True),
        (552, "5.2.2 full", P, 0, False),
        (552, "5.3.4 message too big", P, 0, False),
        (552, "more than SIZE", P, 0, False),
        (451, "4.7.1 greylisted", X, 300, False),
        (421, "4.3.2 closing", T, 0, False),
    ],
)
def test_smtp_about_us_forgets_nobody(code: int, text: str, kind: FailureKind, floor: int, critical: bool) -> None:
    failure = classify_smtp(code, text, about_us=True)
    assert (failure.kind, failure.endpoint_gone, failure.critical) == (kind, False, critical)
    assert (failure.floor or timedelta(0)) == timedelta(seconds=floor)


@given(st.integers(400, 599), st.text(max_size=80))
def test_smtp_knows_every_reply(code: int, text: str) -> None:
    failure = classify_smtp(code, text)
    assert "\n" not in failure.text
    assert "\r" not in failure.text


@pytest.mark.parametrize(
    ("status", "code", "kind", "gone", "critical", "floor"),
    [
        (404, "UNREGISTERED", P, True, False, None),
        (400, "INVALID_ARGUMENT", P, False, False, None),
        (403, "SENDER_ID_MISMATCH", P, False, True, None),
        (429, "QUOTA_EXCEEDED", X, False, False, 60),
        (503, "UNAVAILABLE", T, False, False, 1),
        (500, "INTERNAL", T, False, False, 1),
        (401, "THIRD_PARTY_AUTH_ERROR", P, False, True, None),
        (401, "", T, False, True, 60),
        (403, "", T, False, True, 60),
        (404, "", P, False, False, None),
        (502, "", T, False, False, 1),
        (429, "", X, False, False, 60),
        (400, "SOMETHING_NEW", P, False, False, None),
    ],
)
def test_fcm(status: int, code: str, kind: FailureKind, gone: bool, critical: bool, floor: int | None) -> None:
    failure = classify_fcm(status, code)
    assert (failure.kind, failure.endpoint_gone, failure.critical) == (kind, gone, critical)
    assert failure.floor == (None if floor is None else timedelta(seconds=floor))


@pytest.mark.parametrize(
    ("text", "field", "gone"),
    [
        ("The registration token is not a valid FCM registration token", "", True),
        ("The registration token is not a valid FCM registration token", "message.token", True),
        ("Request contains an invalid argument.", "message.token", True),
        ("Android message is too big", "", False),
        ("Message too long", "", False),
        ("Invalid JSON payload received.", "message.data", False),
        ("Request contains an invalid argument.", "message.android.ttl", False),
        ("not the registration token, but this field", "message.data[0].value", False),
        ("", "", False),
    ],
)
def test_a_token_is_forgotten_only_where_fcm_means_the_token(text: str, field: str, gone: bool) -> None:
    failure = classify_fcm(400, "INVALID_ARGUMENT", message=text, field=field)
    assert (failure.kind, failure.endpoint_gone) == (P, gone)
    assert text in failure.message


@given(st.integers(100, 599), st.none() | st.just(timedelta(seconds=9)))
def test_http(status: int, asked: timedelta | None) -> None:
    outcome = classify_http(status, asked)
    if 200 <= status < 300:
        assert isinstance(outcome, Sent)
        return
    assert isinstance(outcome, Failure)
    assert outcome.endpoint_gone == (status == 410)
    assert (outcome.kind is P) == (status == 410)
    assert outcome.asked == (None if status == 410 else asked)
