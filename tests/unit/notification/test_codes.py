"""What providers' answers mean, by their typed codes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain.delivery import Failure, FailureKind, Sent
from services.notification.domain.fcm_errors import BAD_REQUEST, FCM_ERROR, classify_fcm
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


@given(st.integers(400, 599), st.text(max_size=80))
def test_smtp_knows_every_reply(code: int, text: str) -> None:
    failure = classify_smtp(code, text)
    assert "\n" not in failure.text
    assert "\r" not in failure.text


@pytest.mark.parametrize(
    ("status", "code", "kind", "gone", "critical", "floor"),
    [
        (404, "UNREGISTERED", P, True, False, None),
        (400, "INVALID_ARGUMENT", P, True, False, None),
        (403, "SENDER_ID_MISMATCH", P, True, True, None),
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
    failure = classify_fcm(status, code, details=[FCM_ERROR])
    assert (failure.kind, failure.endpoint_gone, failure.critical) == (kind, gone, critical)
    assert failure.floor == (None if floor is None else timedelta(seconds=floor))


def test_a_payload_that_fcm_refuses_costs_no_token() -> None:
    failure = classify_fcm(400, "INVALID_ARGUMENT", details=[FCM_ERROR, BAD_REQUEST])
    assert (failure.kind, failure.endpoint_gone) == (P, False)


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
