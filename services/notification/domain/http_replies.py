"""What a webhook receiver's answer means (Standard Webhooks): only 2xx is success, 410 ends the subscription."""

from datetime import timedelta

from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent

_THROTTLES = frozenset({429, 502, 503, 504})


def classify_http(status: int, retry_after: timedelta | None) -> Outcome:
    """The outcome of an HTTP answer. Redirects are not followed, and are failures."""
    if 200 <= status < 300:
        return Sent(f"HTTP {status}")
    code = f"HTTP_{status}"
    if status == 410:
        return Failure(
            kind=FailureKind.PERMANENT, code=code, message="the receiver wants no more (410 Gone)", endpoint_gone=True
        )
    kind = FailureKind.THROTTLED if status in _THROTTLES else FailureKind.TRANSIENT
    what = "a redirect, which is not followed" if 300 <= status < 400 else "no success"
    return Failure(kind=kind, code=code, message=f"the receiver answered {status}, {what}", asked=retry_after)
