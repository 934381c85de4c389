"""A seekable file on an HTTP server, read in ranges within a hard budget.

Answers that are larger than asked for are cut off, not drained. A server that ignores Range and sends the whole file is
read as a stream from its start, no further than needed; seeking far ahead in it then costs budget. All bytes that
arrive are counted, also those that are of no use.
"""

import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
from yarl import URL

from services.chassis.net_guard import AddressBlocked, NameUnresolved
from services.media_probe.adapters.http.byte_ranges import ByteRanges
from services.media_probe.adapters.http.range_response import REDIRECTS, Beyond, Part, read_head, strong_tag
from services.media_probe.application.ports import Unchanged
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import Effort

MAX_REDIRECTS = 3
_NOT_MODIFIED = 304
_CUT = (aiohttp.ClientConnectionError, ConnectionError)
_PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class FileBudget:
    """What one video may cost: bytes over the network (after decompression too) and requests, redirects included."""

    max_bytes: int = 8 * 1024 * 1024
    max_requests: int = 32


class RemoteFile:
    """One file. Not for concurrent use; `close` it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        budget: FileBudget,
        redirect: Callable[[str, str], str],
        known: str = "",
    ) -> None:
        """`known`: a tag of bytes that need not be read again."""
        self._known = known
        self._session = session
        self._url = url
        self._budget = budget
        self._redirect = redirect
        self._spans = ByteRanges()
        self._tag = ""
        self._end: int | None = None
        self._stream: _WholeFile | None = None
        self._bytes = 0
        self._requests = 0

    @property
    def size(self) -> int | None:
        """Bytes of the file, once known."""
        return self._end

    @property
    def tag(self) -> str:
        """See the port `RemoteVideo`."""
        return self._tag

    @property
    def effort(self) -> Effort:
        """What reading has cost so far."""
        return Effort(bytes_fetched=self._bytes, requests=self._requests)

    async def read(self, offset: int, length: int, ahead: int = 0) -> bytes:
        """See the port `RemoteVideo`."""
        while True:
            known = self._spans.run(offset)
            if known >= length or (self._end is not None and offset + known >= self._end):
                return self._spans.get(offset, length)
            wanted_to = offset + length + ahead
            at = offset + known
            if self._stream is not None:
                await self._read_stream(wanted_to if not ahead else offset + length)
            else:
                await self._request(at, wanted_to)

    def close(self) -> None:
        """Cuts the transfer that is open, if any."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def _request(self, start: int, end: int) -> None:
        """One request and its redirects; afterwards at least one more byte is known, or the end is."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(start, end)
            async with AsyncExitStack() as stack:
                # Released to the pool when its body was read to the end, cut otherwise.
                stack.callback(answer.close)
                location = answer.headers.get("Location")
                if answer.status in REDIRECTS and location is not None:
                    self._url = self._redirect(self._url, location)
                    continue
                if answer.status == _NOT_MODIFIED and self._known:
                    answer.release()
                    raise Unchanged
                self._known = ""
                if answer.status == 206 and self._encoding(answer):
                    # A range of a compressed body is of no use to anybody.
                    raise ProbeFailed(Failure.UNREACHABLE, "the video server compresses ranges")
                head = read_head(answer.status, answer.headers, asked=start)
                self._check_unchanged(answer, head)
                if isinstance(head, Beyond):
                    self._end = start if head.size is None else min(head.size, start)
                elif answer.status == 200:
                    self._stream = _WholeFile(answer, self._encoding(answer))
                    self._end = head.size
                    stack.pop_all()
                else:
                    await self._read_part(answer, head, start, end)
                return
        raise ProbeFailed(Failure.UNREACHABLE, f"the video server redirects more than {MAX_REDIRECTS} times")

    async def _get(self, start: int, end: int) -> aiohttp.ClientResponse:
        if self._requests >= self._budget.max_requests:
            raise ProbeFailed(Failure.BUDGET_EXCEEDED, f"not found within {self._budget.max_requests} requests")
        self._check_budget()
        last = min(end, start + self._budget.max_bytes - self._bytes) - 1
        headers = {"Range": f"bytes={start}-{last}", "Accept-Encoding": "identity"}
        if self._tag:
            headers["If-Range"] = self._tag
        elif self._known:
            headers["If-None-Match"] = self._known
        self._requests += 1
        with _translated():
            return await self._session.get(URL(self._url, encoded=True), headers=headers, allow_redirects=False)

    def _check_unchanged(self, answer: aiohttp.ClientResponse, head: Part | Beyond) -> None:
        """The parts of two different files must not be put together."""
        tag = strong_tag(answer.headers)
        known = self._spans.run(0)
        changed = bool(self._tag and tag and tag != self._tag) or (
            known > 0 and head.size is not None and self._end is not None and head.size != self._end
        )
        if changed or (self._tag and answer.status == 200):
            raise ProbeFailed(Failure.UNREACHABLE, "the video changed while it was read", transient=True)
        self._tag = self._tag or tag
        if isinstance(head, Part) and head.size is not None:
            self._end = head.size

    async def _read_part(self, answer: aiohttp.ClientResponse, part: Part, start: int, end: int) -> None:
        at = part.start
        stop = end if part.end is None else min(end, part.end)
        with _translated(answered=True):
            async for piece in answer.content.iter_any():
                self._count(len(piece))
                self._spans.add(at, piece[: stop - at] if at + len(piece) > stop else piece)
                at += len(piece)
                if at >= stop:
                    break
            if at == part.end and await answer.content.read(1) == b"":
                answer.release()
                return
        if at <= max(part.start, start):
            raise ProbeFailed(Failure.UNREACHABLE, "the video server cut its answer short", transient=True)

    async def _read_stream(self, end: int) -> None:
        assert self._stream is not None  # the caller looked
        stream = self._stream
        with _translated(answered=True):
            while (arrived := await stream.next()) is not None:
                raw, data = arrived
                self._count(max(raw, len(data)))
                self._spans.add(stream.position, data)
                stream.position += len(data)
                if stream.position >= end:
                    return
        self._end = stream.position

    @staticmethod
    def _encoding(answer: aiohttp.ClientResponse) -> str:
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "deflate"):
            raise ProbeFailed(Failure.UNREACHABLE, "the video server answers in an encoding that was not asked for")
        return "" if encoding == "identity" else encoding

    def _count(self, arrived: int) -> None:
        self._bytes += arrived
        self._check_budget(arrived)

    def _check_budget(self, arrived: int = 0) -> None:
        if self._bytes - arrived >= self._budget.max_bytes:
            raise ProbeFailed(Failure.BUDGET_EXCEEDED, f"not found within {self._budget.max_bytes} bytes")


class _WholeFile:
    """The body of a 200: the file from its start, decompressed piece by piece (never more than one piece at a time,
    however well it was compressed)."""

    def __init__(self, answer: aiohttp.ClientResponse, encoding: str) -> None:
        self.position = 0
        self._answer = answer
        self._unpack = zlib.decompressobj(31 if encoding == "gzip" else zlib.MAX_WBITS) if encoding else None

    async def next(self) -> tuple[int, bytes] | None:
        """How many bytes arrived, and what they hold; None at the end."""
        unpack = self._unpack
        if unpack is not None and unpack.unconsumed_tail:
            return 0, unpack.decompress(unpack.unconsumed_tail, _PIECE)
        piece = await self._answer.content.readany()
        if not piece:
            return None
        return len(piece), piece if unpack is None else unpack.decompress(piece, _PIECE)

    def close(self) -> None:
        self._answer.close()


class _translated:  # noqa: N801 - reads as a verb where it is used
    """Turns what the HTTP client raises into ProbeFailed. A class, for a generator would cost more on this path.
    `answered`: an answer had begun."""

    def __init__(self, *, answered: bool = False) -> None:
        self._answered = answered

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, ProbeFailed):
            return
        for cause in _chain(error):
            if isinstance(cause, AddressBlocked):
                raise ProbeFailed(Failure.BLOCKED_TARGET, cause.message) from error
            if isinstance(cause, NameUnresolved):
                raise ProbeFailed(Failure.UNREACHABLE, cause.message, transient=True) from error
        if isinstance(error, aiohttp.ServerTimeoutError):
            raise ProbeFailed(Failure.TIMEOUT, "the video server took too long", transient=True) from error
        if isinstance(error, aiohttp.InvalidURL):
            raise ProbeFailed(Failure.BLOCKED_TARGET, "the video is no valid URL") from error
        if isinstance(error, aiohttp.ClientResponseError):
            raise ProbeFailed(Failure.UNREACHABLE, "the video server does not speak HTTP") from error
        if isinstance(error, aiohttp.ClientPayloadError) or (self._answered and isinstance(error, _CUT)):
            raise ProbeFailed(Failure.UNREACHABLE, "the video server cut its answer short", transient=True) from error
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            raise ProbeFailed(
                Failure.UNREACHABLE, "the video server's certificate is not good", transient=True
            ) from error
        if isinstance(error, aiohttp.ServerDisconnectedError):
            raise ProbeFailed(
                Failure.UNREACHABLE, "the video server ended the connection without an answer", transient=True
            ) from error
        if isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, TimeoutError):
            raise ProbeFailed(Failure.UNREACHABLE, "no connection to the video server", transient=True) from error
        if isinstance(error, zlib.error):
            raise ProbeFailed(Failure.UNREACHABLE, "the video server's compressed answer is damaged") from error


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found
