"""Reads the head of a video server's answer to a range request. No I/O. RFC 9110: 14 (ranges), 10.2.3 (Retry-After)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from services.media_probe.domain.failure import Failure, ProbeFailed

REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
MAX_RETRY_AFTER: Final = timedelta(hours=1)
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", re.IGNORECASE | re.ASCII)
_TRANSIENT: Final = frozenset((408, 425, 429))


@dataclass(frozen=True, slots=True)
class Part:
    """The answer holds the bytes from `start` on, up to `end` (exclusive; None: until the body ends). `size` of the
    whole file where the server says so."""

    start: int
    end: int | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Beyond:
    """The file ends before what was asked for. `size` where the server says so."""

    size: int | None


def read_head(status: int, headers: Mapping[str, str], *, asked: int, now: datetime | None = None) -> Part | Beyond:
    """What an answer (no redirect) to a request for bytes from `asked` on holds. Raises ProbeFailed for everything that
    is no file, or not the part of it that helps."""
    if status == 206:
        return _part(headers, asked)
    if status == 200:
        encoded = headers.get("Content-Encoding", "identity").lower() != "identity"
        return Part(0, None, None if encoded else _number(headers.get("Content-Length")))
    if status == 416:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        return Beyond(_number(match[3]) if match else None)
    if status in (404, 410):
        raise ProbeFailed(Failure.NOT_FOUND, f"the video server answered {status}")
    transient = status >= 500 or status in _TRANSIENT
    raise ProbeFailed(
        Failure.UNREACHABLE,
        f"the video server answered {status}",
        transient=transient,
        retry_after=retry_after(headers.get("Retry-After"), now or datetime.now(UTC)) if transient else None,
    )


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The delay that a Retry-After header asks for (seconds or a date), at most an hour; None without a valid one."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:12]), 10**9)), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta(0)), MAX_RETRY_AFTER)


def strong_tag(headers: Mapping[str, str]) -> str:
    """The validator for If-Range: a strong ETag, or nothing (weak ones and dates do not vouch for bytes)."""
    tag = headers.get("ETag", "")
    return tag if len(tag) >= 2 and tag[0] == tag[-1] == '"' and len(tag) <= 256 else ""


def _part(headers: Mapping[str, str], asked: int) -> Part:
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or match[1] is None:
        raise ProbeFailed(Failure.UNREACHABLE, "the video server answered 206 without a valid Content-Range")
    start, end = int(match[1]), int(match[2]) + 1
    size = _number(match[3])
    if end <= start or not start <= asked < end or (size is not None and end > size):
        raise ProbeFailed(Failure.UNREACHABLE, "the video server answered with another range than it was asked for")
    return Part(start, end, size)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else None
