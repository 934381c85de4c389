"""What can be wrong with a debt file as a whole, with the reasons of the contract's `ErrorReason`."""

from collections.abc import Iterable
from datetime import timedelta

from services.chassis.errors import (
    Aborted,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from services.ingestion.domain.errors import ResourceExists


class HeaderInvalid(InvalidArgument):
    """The first line does not name the declared columns, each once."""

    reason = "HEADER_INVALID"

    def __init__(self, rule: str, *, missing: Iterable[str], seen: str) -> None:
        super().__init__(
            violations=[FieldViolation("header", rule, self.reason)],
            metadata={"missing": ",".join(missing), "seen": seen},
        )


class ProfileExists(ResourceExists):
    """The name of a profile is taken by another content."""

    def __init__(self, profile: str) -> None:
        super().__init__("debt file profile", profile, "with other content: remove it first, or take another id")


class EncodingInvalid(InvalidArgument):
    """The content is not in the encoding that it is said to be in. `offset` counts bytes from 0, `line` lines from 1;
    `advice` follows what is wrong."""

    reason = "ENCODING_INVALID"

    def __init__(self, byte: int, offset: int, line: int, charset: str = "UTF-8", advice: str = "") -> None:
        advice = advice or "save the file as UTF-8, or say its charset, such as windows-1252"
        rule = f"byte 0x{byte:02X} at offset {offset} (line {line}) is not {charset}; {advice}"
        super().__init__(
            violations=[FieldViolation("content", rule, self.reason)],
            metadata={"byte": f"0x{byte:02X}", "offset": str(offset), "line": str(line), "charset": charset},
        )


class FileFormatInvalid(InvalidArgument):
    """The content is in a format that is not taken, or is damaged; `rule` says which, and what to do."""

    reason = "FILE_FORMAT_INVALID"

    def __init__(self, file_format: str, rule: str) -> None:
        super().__init__(violations=[FieldViolation("content", rule, self.reason)], metadata={"format": file_format})


class ConventionsInvalid(InvalidArgument):
    """What is said of how the file is written is unknown: `field` is charset, locale or currency."""

    reason = "CONVENTIONS_INVALID"

    def __init__(self, field: str, rule: str, value: str) -> None:
        super().__init__(violations=[FieldViolation(field, rule, self.reason)], metadata={"value": value[:80]})


class TooLarge(ResourceExhausted):
    """A configured limit is reached."""

    reason = "TOO_LARGE"

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message, metadata={"limit": limit})


class TooManyUploads(ResourceExhausted):
    """As many files as are taken in at a time are on their way; `awaited`: as are announced, and may come."""

    reason = "TOO_MANY_UPLOADS"

    def __init__(self, limit: int, *, awaited: bool = False) -> None:
        message, retry_after = f"{limit} files are being taken in already; send the file again later", 5
        if awaited:
            message = (
                f"{limit} announced files are awaited already; send some or give them up, or wait until they expire"
            )
            retry_after = 60
        super().__init__(message, retry_after=timedelta(seconds=retry_after), metadata={"limit": str(limit)})


class TooSlow(Aborted):
    """The client sends so slowly that it keeps a place from others."""

    reason = "TOO_SLOW"

    def __init__(self, received: int, limit: str) -> None:
        super().__init__(
            f"the file came too slowly ({limit}): after {received} bytes it was given up; nothing was registered",
            metadata={"received": str(received), "limit": limit},
        )


class RejectLimitExceeded(FailedPrecondition):
    """More rows were rejected than the upload allows; no row of the file was registered."""

    reason = "REJECT_LIMIT_EXCEEDED"

    def __init__(self, limit: str, rejected: int, debt_file: str) -> None:
        super().__init__(
            f"rows rejected: at least {rejected}, allowed: {limit}; no row of the file was registered",
            metadata={"limit": limit, "rejected": str(rejected), "debtFile": debt_file},
        )


class UploadInProgress(Aborted):
    """The same content is being processed right now."""

    reason = "UPLOAD_IN_PROGRESS"

    def __init__(self, debt_file: str) -> None:
        super().__init__(
            f"the same content is being processed as debt file {debt_file}; watch that one",
            metadata={"debtFile": debt_file},
        )


class UploadCancelled(Aborted):
    """Somebody has stopped the file while it was on its way."""

    reason = "UPLOAD_CANCELLED"

    def __init__(self, debt_file: str, accepted: int, *, dry_run: bool = False) -> None:
        came_of_it = "a dry run registers nothing" if dry_run else f"{accepted} debts of it were registered by then"
        super().__init__(f"the file was cancelled; {came_of_it}", metadata={"debtFile": debt_file})


class DebtFileState(FailedPrecondition):
    """The file is not in a state in which that can be done."""

    reason = "DEBT_FILE_STATE"

    def __init__(self, what: str, debt_file: str, state: str) -> None:
        super().__init__(f"{what}: it is {state}", metadata={"debtFile": debt_file, "state": state})


class VersionConflict(Aborted):
    """Another version of it stands than the caller expects."""

    reason = "VERSION_CONFLICT"

    def __init__(self, name: str, expected: int, current: int) -> None:
        super().__init__(
            f"version {current} of {name} stands, not {expected}: look at it again",
            metadata={"id": name, "expected": str(expected), "current": str(current)},
        )


class DebtStatusRefused(FailedPrecondition):
    """A person cannot say that of a debt in the status that it has."""

    reason = "DEBT_STATUS"

    def __init__(self, debt: str, status: str, current: str) -> None:
        super().__init__(
            f"the debt cannot become {status}: it is {current}", metadata={"debt": debt, "status": current}
        )


class UploadBroken(Unavailable):
    """The processing of a file broke off; sending it again is safe."""

    def __init__(self, message: str | None = None, *, debt_file: str = "") -> None:
        super().__init__(
            message, retry_after=timedelta(seconds=1), metadata={"debtFile": debt_file} if debt_file else {}
        )


class UploadInterrupted(UploadBroken):
    """The processing of a file broke off, and goes on by itself."""

    def __init__(self, debt_file: str, rows: int) -> None:
        super().__init__(
            f"processing broke off after row {rows}; it is gone on with, also without its sender: watch debt file "
            f"{debt_file}",
            debt_file=debt_file,
        )


class LeaseLost(UploadBroken):
    """The file has been ended by another process, because its lease had run out."""

    def __init__(self, debt_file: str) -> None:
        super().__init__("the lease on the file was lost", debt_file=debt_file)
