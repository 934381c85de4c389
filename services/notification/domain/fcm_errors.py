"""What an error of Firebase Cloud Messaging (HTTP v1) means: by `FcmError.errorCode`, else by the HTTP status."""

from collections.abc import Collection
from datetime import timedelta

from services.notification.domain.delivery import Failure, FailureKind

QUOTA_FLOOR = timedelta(minutes=1)
"""The least wait that the service's rules ask for after QUOTA_EXCEEDED."""
BACKOFF_FLOOR = timedelta(seconds=1)
OPERATOR_FLOOR = timedelta(minutes=1)

BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def classify_fcm(
    status: int, error_code: str, *, details: Collection[str] = (), retry_after: timedelta | None = None
) -> Failure:
    """The failure of an answer other than 2xx.

    `error_code` is the `errorCode` of the FcmError detail, empty without one; `details` are the types of all details.
    """
    code = f"FCM_{error_code or f'HTTP_{status}'}"

    def failure(
        kind: FailureKind, message: str, *, floor: timedelta | None = None, gone: bool = False, critical: bool = False
    ) -> Failure:
        return Failure(
            kind=kind,
            code=code,
            message=message,
            asked=retry_after,
            floor=floor,
            endpoint_gone=gone,
            critical=critical,
        )

    match error_code:
        case "UNREGISTERED":
            return failure(FailureKind.PERMANENT, "the app is gone from the device", gone=True)
        case "INVALID_ARGUMENT" if BAD_REQUEST not in details:
            return failure(FailureKind.PERMANENT, "no valid registration token", gone=True)
        case "INVALID_ARGUMENT":
            return failure(FailureKind.PERMANENT, "the payload is refused")
        case "SENDER_ID_MISMATCH":
            return failure(FailureKind.PERMANENT, "the token belongs to another project", gone=True, critical=True)
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
