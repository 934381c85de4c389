"""A debt file that is announced: what it is to be, and how far its bytes are."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

from services.ingestion.domain.debts.debt_file import Counts, DebtFile, FileState
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.debts.reject_limit import NO_LIMIT, RejectLimit


class UploadState(enum.Enum):
    """Where an announced file is on its way."""

    OPEN = "OPEN"
    WHOLE = "WHOLE"
    ENDED = "ENDED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class UploadWay(enum.Enum):
    """How the bytes of an announced file come."""

    SIGNED_URL = "SIGNED_URL"
    RESUMABLE = "RESUMABLE"
    BUCKET = "BUCKET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a caller says of a file to come. `size` in bytes; `sha256` is hexadecimal in lower case; it and
    `content_type` are empty where they do not matter. `tus_metadata`: the same as the tus protocol writes it, where it
    came so. The rest is as for a file that comes at once."""

    filename: str
    size: int
    sha256: str = ""
    content_type: str = ""
    dry_run: bool = False
    reject_limit: RejectLimit = NO_LIMIT
    profile: str = ""
    declared: Declared = field(default_factory=Declared)
    tus_metadata: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedUpload:
    """`id`: of the debt file to be. `by`: who announced it. `received`: bytes that are kept of it. `object_key`,
    `object_etag`, `object_modified`: the object in the bucket that is its content, where there is one (a time that is
    not known: any of that key and ETag)."""

    id: str
    by: str
    way: UploadWay
    said: Announcement
    state: UploadState
    received: int
    error: str
    create_time: datetime
    expire_time: datetime
    object_key: str = ""
    object_etag: str = ""
    object_modified: datetime | None = None

    def is_of(self, key: str, etag: str, modified: datetime) -> bool:
        """Whether that object is its content."""
        return (self.object_key, self.object_etag) == (key, etag) and self.object_modified in {modified, None}

    def as_debt_file(self) -> DebtFile:
        """How it shows among debt files as long as it is none."""
        return DebtFile(
            id=self.id,
            filename=self.said.filename,
            dry_run=self.said.dry_run,
            state=self._file_state(),
            bytes=self.received,
            counts=Counts(),
            sha256="",
            error=self.error,
            identical_to="",
            create_time=self.create_time,
            complete_time=None,
        )

    def _file_state(self) -> FileState:
        match self.state:
            case UploadState.OPEN if not self.received:
                return FileState.EXPECTED
            case UploadState.OPEN | UploadState.WHOLE | UploadState.ENDED:
                return FileState.RECEIVING
            case UploadState.CANCELLED:
                return FileState.CANCELLED
            case UploadState.EXPIRED | UploadState.FAILED:
                return FileState.FAILED
