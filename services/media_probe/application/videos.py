"""The use cases behind the RPC methods."""

from dataclasses import dataclass, field
from datetime import timedelta

from services.chassis.ids import is_id, new_id
from services.chassis.paging import Page, PageTokenInvalid, PageTokens, fetch_page
from services.media_probe.application.errors import TooManyProbes, VideoNotFound
from services.media_probe.application.ports import VideoStore
from services.media_probe.application.prober import Prober
from services.media_probe.domain.video import State, Video, VideoFilter


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which videos, and which page of them."""

    page_size: int = 0
    page_token: str = ""
    wanted: VideoFilter = field(default_factory=VideoFilter)


class Videos:
    """Reads results, and probes again or on demand."""

    def __init__(self, store: VideoStore, prober: Prober, *, on_demand: int) -> None:
        self._store = store
        self._prober = prober
        self._on_demand = on_demand
        self._running = 0

    async def get(self, uid: str) -> Video:
        """Raises VideoNotFound."""
        video = await self._store.get(uid)
        if video is None:
            raise VideoNotFound(metadata={"uid": uid})
        return video

    async def list(self, query: ListQuery) -> Page[Video]:
        """Raises PageTokenInvalid."""
        wanted = query.wanted
        tokens = PageTokens("videos", store=wanted.store, state=wanted.state, since=wanted.since, until=wanted.until)
        after = None
        if key := tokens.read(query.page_token, (float, str)):
            after = float(key[0]), str(key[1])
            if not is_id(after[1]):
                raise PageTokenInvalid
        return await fetch_page(
            tokens,
            query.page_size,
            lambda limit: self._store.page(wanted, after, limit),
            lambda video: (video.timestamp, video.uid),
        )

    async def probe(self, video: str) -> Video:
        """Probes now, stores nothing. Raises TooManyProbes."""
        if self._running >= self._on_demand:
            raise TooManyProbes(retry_after=timedelta(seconds=1), metadata={"limit": str(self._on_demand)})
        self._running += 1
        try:
            outcome = await self._prober.probe(video)
        finally:
            self._running -= 1
        return Video(
            uid="",
            store="",
            timestamp=0.0,
            video=video,
            state=State.PROBED if outcome.facts is not None else State.FAILED,
            attempts=1,
            effort=outcome.effort,
            facts=outcome.facts,
            failure=outcome.error.failure if outcome.error is not None else None,
            message=outcome.error.message if outcome.error is not None else "",
        )

    async def retry(self, uid: str) -> Video:
        """Reports the alert of a FAILED video again. Raises VideoNotFound or VideoNotFailed."""
        return await self._store.retry(uid, new_id())
