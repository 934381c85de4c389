"""Probes one video: few bytes first, more only where the format needs them."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from services.chassis.origins import Origin
from services.media_probe.application.ports import (
    Demuxer,
    Indigestible,
    Missing,
    Piece,
    RemoteVideo,
    Unchanged,
    VideoSource,
)
from services.media_probe.domain.container_formats import Container, sniff
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.mp4 import find_header
from services.media_probe.domain.plain_headers import plain_header
from services.media_probe.domain.target import TargetRule
from services.media_probe.domain.video import Effort, Facts, Inspection, derive

_SEEN: Final = 10_000
"""Videos that a process remembers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a probe: facts, or the reason why there are none."""

    effort: Effort
    facts: Facts | None = None
    error: ProbeFailed | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeLimits:
    """`first_bytes` are fetched of every video; `max_index` bounds what an MP4 file's index may weigh; `within` is the
    time for all of one probe."""

    first_bytes: int = 16 * 1024
    max_index: int = 4 * 1024 * 1024
    max_steps: int = 24
    within: timedelta = timedelta(seconds=20)


class Prober:
    """Finds out a video's size. Every failure of the video or its server is in the outcome; what is raised is ours
    (Unavailable)."""

    def __init__(self, source: VideoSource, demuxer: Demuxer, target: TargetRule, limits: ProbeLimits) -> None:
        self._source = source
        self._demuxer = demuxer
        self._target = target
        self._limits = limits
        self._seen: OrderedDict[str, tuple[str, Facts]] = OrderedDict()
        """What was found last at a URL, and the tag of the bytes."""

    def origin(self, video: str) -> str:
        """Who is asked for a video; empty where nobody is."""
        try:
            return str(Origin.of(self._target.resolve(video)))
        except ProbeFailed:
            return ""

    async def probe(self, video: str) -> Outcome:
        """Probes a path on the video server, or a URL of an allowed origin."""
        began = time.perf_counter()
        remote: RemoteVideo | None = None
        facts, error = None, None
        scope = asyncio.timeout(self._limits.within.total_seconds())
        try:
            url = self._target.resolve(video)
            tag, before = self._seen.get(url, ("", None))
            async with scope, self._source.open(url, tag) as remote:
                try:
                    facts = await self._look(remote)
                except Unchanged:
                    facts = before
                else:
                    self._remember(url, remote.tag, facts)
        except ProbeFailed as failure:
            error = failure
        except TimeoutError:
            if not scope.expired():
                raise
            error = ProbeFailed(Failure.TIMEOUT, "the probe took too long", transient=True)
        took = timedelta(seconds=time.perf_counter() - began)
        effort = remote.effort if remote is not None else Effort()
        return Outcome(replace(effort, took=took), facts, error)

    def _remember(self, url: str, tag: str, facts: Facts) -> None:
        self._seen.pop(url, None)
        if tag:
            self._seen[url] = (tag, facts)
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)

    async def _look(self, remote: RemoteVideo) -> Facts:
        head = await remote.read(0, self._limits.first_bytes)
        container = sniff(head)
        if (seen := plain_header(container, head)) is not None:
            return derive(seen, container.value)
        if container is Container.MP4:
            seen = await self._mp4(remote)
        else:
            seen = await self._growing(remote, container, head)
        return derive(seen, container.value, tells_duration=container.tells_duration)

    async def _mp4(self, remote: RemoteVideo) -> Inspection:
        walk = find_header(self._limits.max_index)
        want = next(walk)
        try:
            while True:
                want = walk.send(await remote.read(want.offset, want.length, want.ahead))
        except StopIteration as found:
            header: bytes = found.value
        seen = await self._demuxer.inspect(Container.MP4, [Piece(0, header)])
        if isinstance(seen, Inspection):
            return seen
        raise _useless(seen, whole=False)

    async def _growing(self, remote: RemoteVideo, container: Container, head: bytes) -> Inspection:
        """Shows the demuxer the beginning of the file as if it were all, then four times as much, and so on."""
        known, wanted = head, len(head)
        while True:
            seen = await self._demuxer.inspect(container, [Piece(0, known)])
            if isinstance(seen, Inspection) and seen.width and seen.height:
                return seen
            whole = len(known) < wanted or len(known) == remote.size
            if not whole and container.seeks:
                return await self._seeking(remote, container, known)
            if whole:
                if isinstance(seen, Inspection):
                    return seen
                raise _useless(seen, whole=True)
            wanted = len(known) * 4
            known = await remote.read(0, wanted)

    async def _seeking(self, remote: RemoteVideo, container: Container, head: bytes) -> Inspection:
        """Lets the demuxer say which ranges it wants. It starts anew with each one, so that no worker ever waits for a
        server; headers that need more than a few are damaged or hostile."""
        pieces = [Piece(0, head)]
        ahead = self._limits.first_bytes
        for _ in range(self._limits.max_steps):
            seen = await self._demuxer.inspect(container, pieces, seekable=True, size=remote.size)
            if isinstance(seen, Inspection):
                return seen
            if isinstance(seen, Indigestible):
                raise _useless(seen, whole=False)
            sequential = seen.offset == pieces[-1].offset + len(pieces[-1].data)
            ahead = ahead * 2 if sequential else self._limits.first_bytes
            pieces.append(Piece(seen.offset, await remote.read(seen.offset, ahead)))
            if not pieces[-1].data and remote.size is None:
                raise ProbeFailed(Failure.TRUNCATED, "the file ends before what its header refers to")
        raise ProbeFailed(
            Failure.BUDGET_EXCEEDED, f"the header is scattered over more than {self._limits.max_steps} places"
        )


def _useless(seen: Missing | Indigestible, *, whole: bool) -> ProbeFailed:
    message = seen.message if isinstance(seen, Indigestible) else "the header refers to what is not there"
    if isinstance(seen, Indigestible) and seen.streams:
        return ProbeFailed(Failure.UNSUPPORTED, "the file has no video stream")
    return ProbeFailed(Failure.TRUNCATED if whole else Failure.NOT_MEDIA, message)
