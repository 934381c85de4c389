"""Content that is not what was announced is no file."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from services.ingestion.application.debts.verified_content import check_head, verified
from services.ingestion.domain.debts.announced_upload import Announcement
from services.ingestion.domain.debts.upload_errors import UploadMismatch

CONTENT = b"name,debtId\nAna,1\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 5):
        yield content[start : start + 5]


@pytest.mark.parametrize("sha256", ["", SUM])
async def test_what_was_announced_passes(sha256: str) -> None:
    said = Announcement(filename="", size=len(CONTENT), sha256=sha256)
    assert b"".join([piece async for piece in verified(said, pieces(CONTENT))]) == CONTENT


@pytest.mark.parametrize(
    ("content", "field", "passed"),
    [
        (CONTENT + b"more", "size", CONTENT[:15]),
        (CONTENT[:-1], "size", CONTENT[:-1]),
        (b"", "size", b""),
        (CONTENT.swapcase(), "sha256", CONTENT.swapcase()),
    ],
)
async def test_other_content_has_no_end(content: bytes, field: str, passed: bytes) -> None:
    seen = b""
    with pytest.raises(UploadMismatch) as caught:
        async for piece in verified(Announcement(filename="", size=len(CONTENT), sha256=SUM), pieces(content)):
            seen += piece
    assert caught.value.violations[0].field == field
    assert seen == passed


@pytest.mark.parametrize(
    ("content_type", "size", "field"),
    [("text/csv; charset=utf-8", 10, ""), ("TEXT/CSV", None, ""), ("", 10, "contentType"), ("text/csv", 9, "size")],
)
def test_what_can_be_known_beforehand(content_type: str, size: int | None, field: str) -> None:
    said = Announcement(filename="", size=10, content_type="text/csv")
    if not field:
        check_head(said, content_type, size)
        return
    with pytest.raises(UploadMismatch) as caught:
        check_head(said, content_type, size)
    assert caught.value.violations[0].field == field
