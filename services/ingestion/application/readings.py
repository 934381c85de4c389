"""Taking readings in: one, many, and in columns. Whatever is returned as accepted is durable."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter

from prometheus_client import Counter

from services.chassis.auth import principal
from services.chassis.errors import DomainError
from services.ingestion.application import metrics
from services.ingestion.application.ports import Claim, Clock, IdempotencyKeys
from services.ingestion.application.reading_group_commit import ReadingGroupCommit
from services.ingestion.application.series_directory import SeriesDirectory
from services.ingestion.domain.reading import (
    RawReading,
    Rejection,
    StoredReading,
    TimeLimits,
    broken_rules,
    canonical_value,
    check_event_time,
)
from services.ingestion.domain.reading_columns import (
    Floats,
    Indices,
    Longs,
    SeriesOutcome,
    SeriesTable,
    judge,
    pieces_of,
    used,
)
from services.ingestion.domain.recent_readings import Conflict, ignored, located, located_in_columns
from services.ingestion.domain.series import Series, SeriesKey

_IMPORT_CHUNK = 1000
_IMPORT_IN_FLIGHT = 8
MAX_IMPORT_REJECTIONS = 1000

_rows = metrics.ACCEPTED.labels("rows")
_columns = metrics.ACCEPTED.labels("columns")


@dataclass(frozen=True, slots=True)
class CreateReading:
    """Accept one reading; an empty key means none."""

    reading: RawReading
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class ReadingCreated:
    """`duplicate`: the key had been used with the same content. `conflict`: another value of its event time, where one
    is known of."""

    reading: StoredReading
    duplicate: bool
    conflict: Conflict | None = None


@dataclass(frozen=True, slots=True)
class CreateReadings:
    """Accept many readings, each judged on its own; an empty key means none."""

    readings: Sequence[RawReading]
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class ReadingsCreated:
    """What became of a batch. `conflicts`: items whose event time had another value, as far as is known; `accepted`
    does not count those that are ignored for it."""

    accepted: int
    rejections: Sequence[Rejection]
    duplicate: bool = False
    conflicts: Sequence[Conflict] = ()

    @property
    def ignored(self) -> int:
        """Items that count nowhere, since another value of their event time does."""
        return ignored(self.conflicts)


@dataclass(frozen=True, slots=True)
class ReadingsImported:
    """What became of an import; `rejections` and `conflicts` are the first ones."""

    accepted: int
    rejected: int
    rejections: Sequence[Rejection]
    ignored: int = 0
    conflicts: Sequence[Conflict] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch under way: what will have been accepted once `durable` is done. `locate` finds the items of conflicts."""

    durable: "asyncio.Future[Sequence[Conflict]]"
    accepted: int
    rejections: Sequence[Rejection]
    locate: Callable[[Sequence[Conflict]], Sequence[Conflict]]

    async def outcome(self) -> ReadingsCreated:
        """Waits for the acknowledgement. Raises StreamUnavailable."""
        conflicts = await self.durable
        if not conflicts:
            return ReadingsCreated(self.accepted, self.rejections)
        return ReadingsCreated(self.accepted - ignored(conflicts), self.rejections, False, self.locate(conflicts))


class Readings:
    """The use cases."""

    def __init__(
        self,
        directory: SeriesDirectory,
        group_commit: ReadingGroupCommit,
        keys: IdempotencyKeys,
        *,
        clock: Clock,
        limits: TimeLimits,
    ) -> None:
        self._directory = directory
        self._group_commit = group_commit
        self._keys = keys
        self._clock = clock
        self._limits = limits

    @property
    def catalogue_version(self) -> int:
        """Changes when tables made by `table` must be made anew."""
        return self._directory.version

    async def create(self, command: CreateReading) -> ReadingCreated:
        """Raises InvalidArgument (field and rule), NotFound, TooManyPlaces, IdempotencyConflict, StreamUnavailable."""
        raw, key = command.reading, command.idempotency_key
        try:
            stored = await self._judge(raw, self._clock())
        except DomainError as error:
            metrics.REJECTED.labels(error.reason).inc()
            raise
        if not key:
            conflict = await self._group_commit.submit_row(stored.series, stored.event_time_us, stored.value)
            _rows.inc()
            return ReadingCreated(stored, duplicate=False, conflict=conflict)
        claim, scope = await self._claim(key, [raw])
        if raw.event_time_us is None:  # whichever attempt stores it, it is the same reading
            stored = StoredReading(stored.series, claim.received_us, stored.value)
        conflicts: Sequence[Conflict] = ()
        if not claim.done:
            conflicts = await (await self._group_commit.submit(pieces_of([stored]), _message_id(scope, key)))
            await self._keys.finish(scope, key)
            _rows.inc()
        return ReadingCreated(stored, not claim.first, conflicts[0] if conflicts else None)

    async def create_many(self, command: CreateReadings) -> ReadingsCreated:
        """Raises IdempotencyConflict, or StreamUnavailable when one of them could not be stored."""
        key = command.idempotency_key
        if not key:
            return await (await self.start(command.readings)).outcome()
        claim, scope = await self._claim(key, command.readings)
        stored, places, rejections = await self._judge_many(command.readings, claim.received_us)
        conflicts: Sequence[Conflict] = ()
        if not claim.done:
            durable = await self._group_commit.submit(pieces_of(stored), _message_id(scope, key))
            conflicts = located(await durable, stored, places)
            await self._keys.finish(scope, key)
            _rows.inc(len(stored))
        return ReadingsCreated(len(stored) - ignored(conflicts), rejections, not claim.first, conflicts)

    async def import_all(self, readings: AsyncIterator[RawReading]) -> ReadingsImported:
        """Takes a stream of readings in, holding only a few chunks of it at a time. Raises StreamUnavailable."""
        accepted = rejected = start = not_counting = 0
        rejections: list[Rejection] = []
        conflicts: list[Conflict] = []
        under_way: list[tuple[int, Pending]] = []

        async def finish() -> None:
            nonlocal accepted, not_counting
            first, pending = under_way.pop(0)
            done = await pending.outcome()
            accepted += done.accepted
            not_counting += done.ignored
            room = MAX_IMPORT_REJECTIONS - len(conflicts)
            conflicts.extend(found._replace(row=first + found.row) for found in done.conflicts[:room])

        try:
            async for chunk in _chunks(readings, _IMPORT_CHUNK):
                pending = await self.start(chunk)
                rejected += len(pending.rejections)
                room = MAX_IMPORT_REJECTIONS - len(rejections)
                rejections += [replace(found, index=start + found.index) for found in pending.rejections[:room]]
                under_way.append((start, pending))
                start += len(chunk)
                if len(under_way) >= _IMPORT_IN_FLIGHT:
                    await finish()
            while under_way:
                await finish()
        finally:
            for _, pending in under_way:
                pending.durable.cancel()
        return ReadingsImported(accepted, rejected, rejections, not_counting, conflicts)

    async def start(self, readings: Sequence[RawReading]) -> Pending:
        """Judges a batch in rows and sets it under way. Raises StreamUnavailable when too much is pending."""
        stored, places, rejections = await self._judge_many(readings, self._clock())
        durable = await self._group_commit.submit(pieces_of(stored))
        durable.add_done_callback(partial(_count_accepted, _rows, len(stored)))
        return Pending(durable, len(stored), rejections, partial(located, stored=stored, places=places))

    async def table(
        self, series: Sequence[tuple[SeriesKey, str]], index: Indices, event_time_us: Longs, value: Floats
    ) -> tuple[SeriesTable, bool]:
        """Resolves a table of (series, unit) for these rows, and whether for others too: a series whose rows are all
        refused is not registered."""
        outcomes = [self._outcome(self._directory.peek(key), unit) for key, unit in series]
        table = SeriesTable(outcomes)
        new = [at for at, (key, _) in enumerate(series) if self._directory.cached(key) is None]
        sound = [at for at in new if not isinstance(outcomes[at], DomainError)]
        if not sound:
            return table, True
        rows = set(used(table, index, event_time_us, value, now_us=self._clock(), limits=self._limits))
        wanted = [at for at in sound if at in rows]
        resolved = await self._directory.resolve(series[at][0] for at in wanted)
        for at in wanted:
            key, unit = series[at]
            outcomes[at] = self._outcome(resolved[key], unit)
        return SeriesTable(outcomes), len(wanted) == len(sound)

    @staticmethod
    def _outcome(found: Series | DomainError, unit: str) -> SeriesOutcome:
        if isinstance(found, DomainError):
            return found
        try:
            return found, found.limits.conversion(unit)
        except DomainError as error:
            return error

    async def start_columns(self, table: SeriesTable, index: Indices, event_time_us: Longs, value: Floats) -> Pending:
        """Judges a batch in columns of the same length and sets it under way. Raises StreamUnavailable."""
        judged = judge(table, index, event_time_us, value, now_us=self._clock(), limits=self._limits)
        if judged.rejections:
            _count(judged.rejections)
        durable = await self._group_commit.submit(judged.pieces)
        durable.add_done_callback(partial(_count_accepted, _columns, judged.accepted))
        locate = partial(located_in_columns, table=table, index=index, event_time_us=event_time_us, value=value)
        return Pending(durable, judged.accepted, judged.rejections, locate)

    async def _judge(self, raw: RawReading, now_us: int) -> StoredReading:
        key, event_time_us, value = self._judge_content(raw, now_us, now_us, {})
        series = await self._directory.one(key)
        return StoredReading(series, event_time_us, value)

    def _judge_content(
        self, raw: RawReading, now_us: int, default_us: int, expected: dict[SeriesKey, Series]
    ) -> tuple[SeriesKey, int, float]:
        """Key, event time and canonical value. Before the series is resolved: a refused reading must register nothing,
        and a storm of them must not reach the database. `expected`: what series of this batch would be like."""
        key = SeriesKey(raw.building, raw.room, raw.sensor_type, raw.device)
        if (series := expected.get(key)) is None:
            series = expected[key] = self._directory.expected(key)
        value = canonical_value(raw.value, raw.unit, series)
        if raw.event_time_us is None:
            return key, default_us, value
        return key, check_event_time(raw.event_time_us, now_us, self._limits), value

    async def _judge_many(
        self, readings: Sequence[RawReading], now_us: int
    ) -> tuple[list[StoredReading], list[int], list[Rejection]]:
        """The readings to store, the place of each in the batch, and why the others are not stored."""
        rejections: list[Rejection] = []
        sound: list[tuple[int, SeriesKey, int, float]] = []
        expected: dict[SeriesKey, Series] = {}
        for at, raw in enumerate(readings):
            try:
                # Without event times they are one microsecond apart: a series holds one value for each.
                sound.append((at, *self._judge_content(raw, now_us, now_us + at, expected)))
            except DomainError as error:
                error.__traceback__ = None  # leads back here: thousands a second would be left to the collector
                # The contract comes first, as for a reading that is sent alone.
                rejections.append(Rejection(at, broken_rules(raw) or error))
        resolved = await self._directory.resolve(dict.fromkeys(key for _, key, _, _ in sound))
        stored: list[StoredReading] = []
        places: list[int] = []
        for at, key, event_time_us, value in sound:
            series = resolved[key]
            if isinstance(series, DomainError):
                rejections.append(Rejection(at, series))
            else:
                stored.append(StoredReading(series, event_time_us, value))
                places.append(at)
        rejections.sort(key=attrgetter("index"))
        _count(rejections)
        return stored, places, rejections

    async def _claim(self, key: str, readings: Sequence[RawReading]) -> tuple[Claim, str]:
        scope = principal.current().subject
        content = hashlib.blake2b(digest_size=16)
        for raw in readings:
            content.update(repr(raw).encode())
        return await self._keys.claim(scope, key, content.digest(), self._clock()), scope


def _count(rejections: Sequence[Rejection]) -> None:
    reasons: dict[str, int] = {}
    for found in rejections:
        reasons[found.reason] = reasons.get(found.reason, 0) + 1
    for reason, count in reasons.items():
        metrics.REJECTED.labels(reason).inc(count)


def _count_accepted(counter: Counter, rows: int, durable: "asyncio.Future[Sequence[Conflict]]") -> None:
    if not durable.cancelled() and durable.exception() is None:
        counter.inc(rows)


def _message_id(scope: str, key: str) -> str:
    """The same for every attempt with this key; no caller can meet another's."""
    return hashlib.blake2b(f"{len(scope)}:{scope}:{key}".encode(), digest_size=16).hexdigest()


async def _chunks(readings: AsyncIterator[RawReading], size: int) -> AsyncIterator[list[RawReading]]:
    chunk: list[RawReading] = []
    async for reading in readings:
        chunk.append(reading)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
