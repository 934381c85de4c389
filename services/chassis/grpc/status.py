"""The one table between kinds of domain errors and gRPC statuses, in both directions.

A status carries `google.rpc.ErrorInfo` (reason, domain "tocsin", metadata), `RequestInfo`, and where they apply
`BadRequest` (field violations) and `RetryInfo`. What leaves is bounded, for gRPC peers drop a call whose trailers pass
8 KiB.
"""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from typing import Final, cast

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.chassis import errors

DOMAIN: Final = "tocsin"
DETAILS_KEY: Final = "grpc-status-details-bin"
MAX_TEXT: Final = 400
MAX_DETAILS_BYTES: Final = 4096

CODES: Final[dict[type[errors.DomainError], grpc.StatusCode]] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
KINDS: Final = {code: kind for kind, code in CODES.items()}


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status of the error's kind; INTERNAL for what is no domain error or has no kind."""
    for cls in type(error).__mro__:
        if cls in CODES:
            return CODES[cls]
    return grpc.StatusCode.INTERNAL


def clip(text: str, limit: int = MAX_TEXT) -> str:
    """At most `limit` characters of `text`, marked where cut, without control characters."""
    if len(text) <= limit and text.isprintable():
        return text  # nearly always: a storm of refusals must stay cheap
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def to_status(error: BaseException, request_id: str = "") -> status_pb2.Status:
    """The `google.rpc.Status` of the error. An unmapped one (no kind) shows nothing of itself but fixed text."""
    code = code_of(error)
    if not isinstance(error, errors.DomainError) or (
        code is grpc.StatusCode.INTERNAL and not isinstance(error, errors.Internal)
    ):
        error = errors.Internal()
    status = status_pb2.Status(code=code.value[0], message=clip(error.message))
    metadata = {clip(key, 64): clip(value, 128) for key, value in islice(error.metadata.items(), 16)}
    _pack(status, error_details_pb2.ErrorInfo(reason=clip(error.reason, 63), domain=DOMAIN, metadata=metadata))
    if request_id:
        _pack(status, error_details_pb2.RequestInfo(request_id=request_id))
    if isinstance(error, errors.ResourceExhausted | errors.Unavailable) and error.retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(max(error.retry_after, timedelta(0)))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if error.violations:
        _pack(status, _bad_request(error.violations, MAX_DETAILS_BYTES - status.ByteSize()))
    return status


def _bad_request(violations: tuple[errors.FieldViolation, ...], budget: int) -> error_details_pb2.BadRequest:
    detail = error_details_pb2.BadRequest()
    for violation in violations:
        entry = detail.field_violations.add(
            field=clip(violation.field, 200), description=clip(violation.description), reason=clip(violation.reason, 63)
        )
        budget -= entry.ByteSize() + 8
        if budget < 0 and len(detail.field_violations) > 1:
            del detail.field_violations[-1]
            break
    return detail


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.RequestInfo
    | error_details_pb2.RetryInfo
    | error_details_pb2.BadRequest,
) -> None:
    status.details.add().Pack(detail)


def unpack(error: grpc.RpcError) -> errors.DomainError:
    """The domain error that a peer's failed call carries: its kind from the status code, reason, metadata, violations
    and retry delay from the details. Statuses without details (a broken connection, a deadline) get the kind's own
    reason and message: gRPC's texts name addresses, which must not travel on to the caller's caller."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return errors.Internal()
    kind = KINDS.get(error.code(), errors.Internal)
    trailers = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    raw = next((value for key, value in trailers if key == DETAILS_KEY), None)
    try:
        status = status_pb2.Status.FromString(raw) if isinstance(raw, bytes) else status_pb2.Status()
    except DecodeError:  # not from one of ours; the code still counts
        return kind()
    failure = kind(status.message or None)
    for detail in status.details:
        _read_detail(failure, detail)
    return failure


def _read_detail(failure: errors.DomainError, packed: AnyMessage) -> None:
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    if packed.Unpack(info):
        failure.reason = info.reason
        failure.metadata.update(info.metadata)
    elif packed.Unpack(bad):
        failure.violations = tuple(
            errors.FieldViolation(v.field, v.description, v.reason) for v in bad.field_violations
        )
    elif isinstance(failure, errors.ResourceExhausted | errors.Unavailable) and packed.Unpack(retry):
        failure.retry_after = retry.retry_delay.ToTimedelta()
