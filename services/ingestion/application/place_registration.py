"""NamedPlaces that register themselves by their first reading: as many as the deployment allows."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic

from services.ingestion.application.ports import Catalogue
from services.ingestion.domain.catalogue import Device
from services.ingestion.domain.errors import TooManyPlaces
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.series import SeriesKey

_COUNT_EVERY = 60.0
_KINDS = ("building", "room", "device")


class PlaceRegistrar:
    """Registers what readings name, up to `limit` places of each kind. NamedPlaces that are known already cost no room.

    How many there are is counted at the first registration, after `forget`, and once a minute while there are new ones;
    between that, what this process adds is added. Other processes add too: together they may go beyond `limit` by
    what they register within a minute.
    """

    def __init__(self, catalogue: Catalogue, limit: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._catalogue = catalogue
        self._limit = limit
        self._clock = clock
        self._known: PlaceCounts | None = None
        self._counted_at = 0.0
        self._under_way = PlaceCounts()

    def forget(self) -> None:
        """NamedPlaces may have been deleted: counts anew when it matters."""
        self._known = None

    async def register(self, keys: Sequence[SeriesKey]) -> dict[SeriesKey, TooManyPlaces]:
        """Registers the series, but for those that are returned with what they are too many of. Raises Unavailable."""
        wanted, refused = NamedPlaces.of(keys), dict[SeriesKey, TooManyPlaces]()
        if (await self._taken()).plus(wanted.counts).beyond(self._limit):
            unknown = await self._catalogue.unknown(keys)
            refused = self._choose(keys, unknown, await self._taken())
            keys = [key for key in keys if key not in refused]
            wanted = NamedPlaces.of(keys) & unknown
        if keys:
            async with self._adding(wanted.counts):
                self._add(await self._catalogue.register(keys))
        return refused

    async def register_device(self, device: Device) -> Device:
        """Registers a device that is in no place yet (the place of these is one for all: it needs no room). Raises
        TooManyPlaces and Unavailable."""
        one = PlaceCounts(devices=1)
        if (await self._taken()).plus(one).devices > self._limit:
            raise TooManyPlaces("device", device.id, self._limit)
        async with self._adding(one):
            stored = await self._catalogue.register_device(device)
            self._add(one)
        return stored

    def _choose(
        self, keys: Sequence[SeriesKey], unknown: NamedPlaces, taken: PlaceCounts
    ) -> dict[SeriesKey, TooManyPlaces]:
        refused: dict[SeriesKey, TooManyPlaces] = {}
        granted = NamedPlaces()
        for key in keys:
            more = granted | (NamedPlaces.of([key]) & unknown)
            full = [
                kind
                for kind, before, after, there in zip(_KINDS, granted.counts, more.counts, taken, strict=True)
                if after > before and there + after > self._limit
            ]
            if full:
                refused[key] = TooManyPlaces(full[0], getattr(key, full[0]), self._limit)
            else:
                granted = more
        return refused

    async def _taken(self) -> PlaceCounts:
        now = self._clock()
        if self._known is None or now - self._counted_at > _COUNT_EVERY:
            self._counted_at = now
            self._known = await self._catalogue.count_places(self._limit)
        return self._known.plus(self._under_way)

    @asynccontextmanager
    async def _adding(self, counts: PlaceCounts) -> AsyncGenerator[None]:
        """What others must leave room for during the block."""
        self._under_way = self._under_way.plus(counts)
        try:
            yield
        finally:
            self._under_way = self._under_way.plus(counts, -1)

    def _add(self, counts: PlaceCounts) -> None:
        if self._known is not None:
            self._known = self._known.plus(counts)
