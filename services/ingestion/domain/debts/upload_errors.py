"""What can be wrong with an announced debt file, with the reasons of the contract's `ErrorReason`."""

from datetime import timedelta

from services.chassis.errors import Aborted, FailedPrecondition, FieldViolation, InvalidArgument, ResourceExhausted


class UploadExpired(FailedPrecondition):
    """The content did not come in time."""

    reason = "UPLOAD_EXPIRED"

    def __init__(self, debt_file: str) -> None:
        super().__init__("the time for this upload is over; announce the file again", metadata={"debtFile": debt_file})


class UploadEnded(FailedPrecondition):
    """The content has come already, or nobody wants it any more."""

    reason = "UPLOAD_ENDED"

    def __init__(self, debt_file: str, state: str) -> None:
        super().__init__(
            f"nothing more is taken for this upload: it is {state}; announce the file again to send it again",
            metadata={"debtFile": debt_file, "state": state},
        )


class UploadMismatch(InvalidArgument):
    """The content is not what was announced: `field` is size, contentType or sha256."""

    reason = "UPLOAD_MISMATCH"

    def __init__(self, field: str, expected: object, found: object) -> None:
        rule = f"{expected} was announced, and {found} came"
        super().__init__(
            violations=[FieldViolation(field, rule, self.reason)],
            metadata={"expected": str(expected), "found": str(found)},
        )


class UploadOffset(Aborted):
    """Bytes are kept up to another offset."""

    reason = "UPLOAD_OFFSET"

    def __init__(self, debt_file: str, offset: int) -> None:
        super().__init__(
            f"bytes are kept up to offset {offset}; go on from there",
            metadata={"debtFile": debt_file, "offset": str(offset)},
        )


class ChecksumMismatch(InvalidArgument):
    """The bytes that came are not those of the checksum that came with them."""

    reason = "CHECKSUM_MISMATCH"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            violations=[FieldViolation("checksum", f"{expected} was said, the bytes have {found}", self.reason)],
            metadata={"expected": expected, "found": found},
        )


class StorageFull(ResourceExhausted):
    """Files that come in parts take as much room as they may."""

    reason = "TOO_MANY_UPLOADS"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"files that are on their way take {limit} bytes already; announce the file again later",
            retry_after=timedelta(minutes=1),
            metadata={"limit": str(limit)},
        )


class UploadKeyMissing(FailedPrecondition):
    """The deployment has no key to sign with."""

    reason = "UPLOAD_KEY_MISSING"

    def __init__(self) -> None:
        super().__init__("signed uploads need a key: set TOCSIN_INGESTION_UPLOAD_KEY_FILE, or send the file at once")


class UploadBucketMissing(FailedPrecondition):
    """The deployment has no bucket for debt files."""

    reason = "UPLOAD_BUCKET_MISSING"

    def __init__(self) -> None:
        super().__init__("there is no bucket for debt files: set TOCSIN_INGESTION_DEBT_BUCKET")
