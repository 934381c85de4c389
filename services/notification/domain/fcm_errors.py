"""What an error of Firebase Cloud Messaging (HTTP v1) means: by `FcmError.errorCode`, else by the HTTP status."""

import re
from datetime import timedelta

from services.notification.domain.delivery import Failure, FailureKind

QUOTA_FLOOR = timedelta(minutes=1)
"""The least wait that the service's rules ask for after QUOTA_EXCEEDED."""
BACKOFF_FLOOR = timedelta(seconds=1)
OPERATOR_FLOOR = timedelta(minutes=1)

MAX_PAYLOAD = 4096
"""Bytes of keys and values of `notification` and `data` together, beyond which FCM refuses a message."""
_TOKEN_NAMED = re.compile(r"registration[ -]?token", re.IGNORECASE | re.ASCII)


def classify_fcm(
    status: int, error_code: str, *, message: str = "", field: str = "", retry_after: timedelta | None = None
) -> Failure:
    """The failure of an answer other than 2xx.

    `error_code` is the `errorCode` of the FcmError detail, `field` that of a violation in a BadRequest detail, and
    `message` the error's text; each empty without one. FCM answers INVALID_ARGUMENT to a token that is none and to a
    payload that it does not take, mostly without a violation: then the text alone tells which of them it means. A token
    is forgotten only where the answer is about the token, never for our payload or our account.
    """
    said = " ".join(message.split())[:200]
    code = f"FCM_{error_code or f'HTTP_{status}'}"

    def failure(
        kind: FailureKind, meaning: str, *, floor: timedelta | None = None, gone: bool = False, critical: bool = False
    ) -> Failure:
        return Failure(
            kind=kind,
            code=code,
            message=f"{meaning} ({said})" if said else meaning,
            asked=retry_after,
            floor=floor,
            endpoint_gone=gone,
            critical=critical,
        )

    match error_code:
        case "UNREGISTERED":
            return failure(FailureKind.PERMANENT, "the app is gone from the device", gone=True)
        case "INVALID_ARGUMENT" if field == "message.token" or (not field and _TOKEN_NAMED.search(said)):
            return failure(FailureKind.PERMANENT, "no valid registration token", gone=True)
        case "INVALID_ARGUMENT":
            return failure(FailureKind.PERMANENT, "the message is refused")
        case "SENDER_ID_MISMATCH":
            # With the key file of another project every token answers so: they are good again once it is put right.
            return failure(FailureKind.PERMANENT, "the token is of another project than our account", critical=True)
        case "QUOTA_EXCEEDED":
            return failure(FailureKind.THROTTLED, "the quota is used up", floor=QUOTA_FLOOR)
        case "UNAVAILABLE" | "INTERNAL":
            return failure(FailureKind.TRANSIENT, "the service is overloaded or failed", floor=BACKOFF_FLOOR)
        case "THIRD_PARTY_AUTH_ERROR":
            return failure(FailureKind.PERMANENT, "the APNs or web push credentials are refused", critical=True)
        case _:
            pass
    if status in (401, 403):
        return failure(FailureKind.TRANSIENT, "our credentials are refused", floor=OPERATOR_FLOOR, critical=True)
    if status == 429:
        return failure(FailureKind.THROTTLED, "too many requests", floor=QUOTA_FLOOR)
    if status >= 500 or status == 408:
        return failure(FailureKind.TRANSIENT, f"the service answered {status}", floor=BACKOFF_FLOOR)
    return failure(FailureKind.PERMANENT, f"the service answered {status}")
