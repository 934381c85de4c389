"""What the use cases need of the world outside, by role."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from services.aggregation.domain.alarms.alarm import AlarmChanges
from services.aggregation.domain.continuity import Bookmark, Follows, Lost, Position
from services.aggregation.domain.cover import SeriesInfo
from services.aggregation.domain.engine import Readings, no_readings
from services.aggregation.domain.figures import Figures
from services.aggregation.domain.fold import Folded
from services.aggregation.domain.levels import Closed
from services.aggregation.domain.meter import Correction
from services.aggregation.domain.recompute import Past
from services.aggregation.domain.revision import Context, LateRange, Revised
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.statistics import Statistics
from services.aggregation.domain.summary import Floats, Ints


class Lease(NamedTuple):
    """The right to work on a partition. Whoever holds a lower `epoch` than the store cannot commit."""

    partition: int
    owner: str
    epoch: int


class LeaseLost(Exception):
    """Another replica owns the partition now: nothing was committed."""


class StoredSeries(NamedTuple):
    """A series with its id and what its owner had remembered (`state` None: nothing). `outdated`: what it had was of
    another layout, or for other steps."""

    id: int
    descriptor: Descriptor
    state: bytes | None
    outdated: "Outdated | None" = None


class Outdated(NamedTuple):
    """What is known of a state that must be rebuilt: the last settled reading, what its windows were judged by, and the
    steps they are complete for, up to the time in `frontiers`."""

    settled: int
    interval: int
    max_gap: int
    steps: Sequence[int]
    frontiers: Sequence[int]


class Loaded(NamedTuple):
    """A partition as it is stored. `unsettled`: (series id, event time, value) columns of the readings that the states
    do not hold yet, sorted by series and time."""

    series: Sequence[StoredSeries]
    unsettled: tuple[Ints, Ints, Floats]


class SavedState(NamedTuple):
    """What is stored of a series' state. `frontiers`: per step, windows that start before it are complete."""

    series_id: int
    interval: int
    max_gap: int
    frontiers: Sequence[int]
    settled: int
    state: bytes


class Announcement(NamedTuple):
    """A closed window, for everybody who listens. Times in microseconds."""

    descriptor: Descriptor
    series_id: int
    step: int
    start: int
    revision: int
    statistics: Statistics


class Announcements(NamedTuple):
    """Closed windows of one step, for everybody who listens: one row each."""

    descriptors: Sequence[Descriptor]
    ids: Ints
    start: Ints
    revision: Ints
    figures: Figures

    def one_by_one(self) -> list[Announcement]:
        """The same, as objects."""
        return [
            Announcement(descriptor, series_id, self.figures.length, start, revision, self.figures.row(at))
            for at, (descriptor, series_id, start, revision) in enumerate(
                zip(self.descriptors, self.ids.tolist(), self.start.tolist(), self.revision.tolist(), strict=True)
            )
        ]


class WindowKey(NamedTuple):
    """Identity of a window of which something has been announced, or is to be."""

    descriptor: Descriptor
    series_id: int
    step: int
    start: int
    revision: int


class Recomputation(NamedTuple):
    """A series whose windows are to be folded anew from `cursor` (None: from its first reading) to `end`. `totals`:
    what was done so far."""

    id: int
    series_id: int
    cursor: int | None
    end: int
    include_too_late: bool
    totals: "Totals"


class Totals(NamedTuple):
    """What recomputing has come to: readings folded, windows compared, windows that differed."""

    readings: int = 0
    windows: int = 0
    changed: int = 0


class Progress(NamedTuple):
    """Where a recomputation stands after a write; `done`: there is nothing left of it."""

    id: int
    cursor: int
    totals: Totals
    done: bool


@dataclass(slots=True)
class Write:
    """Everything that one batch changes; it is committed as a whole or not at all.

    Columns refer to series by local index; `ids` translates to stored ids, `max_gaps` and `counters` belong to them.
    """

    ids: Ints
    max_gaps: Ints
    kinds: Ints
    bookmark: Bookmark | None = None
    """Where the partition stands in its stream with it; None: where it stood."""
    lost: Sequence[Lost] = ()
    """What the broker lost before the position; it is told by `alarms`."""
    emptied: Sequence[int] = ()
    """Mailbox entries that are part of it."""
    raw: Readings = field(default_factory=no_readings)
    skipped: Readings = field(default_factory=no_readings)
    """Raw readings that are kept without a place in windows."""
    closed: Sequence[Closed] = ()
    revised: Sequence[Revised] = ()
    states: Sequence[SavedState] = ()
    corrections: Sequence[Correction] = ()
    """One per reading: they take the place of what was stored about the same reading."""
    judged: Sequence[tuple[int, int, int]] = ()
    """(local index, from, to): `corrections` are all that there are now of readings in between."""
    counted: Sequence[tuple[int, int, int]] = ()
    """(local index, from, to): readings in between that came too late count from now on."""
    progress: Progress | None = None
    withdrawn: Sequence[tuple[int, int]] = ()
    """(local index, event time) of corrections that are none any more."""
    late: Sequence[tuple[int, int, int]] = ()
    """(local index, readings that revised windows, readings that came too late)."""
    announcements: Sequence[Announcements] = ()
    revised_keys: Sequence[WindowKey] = ()
    """Revised windows to announce; their statistics follow from what is stored after the write."""
    alarms: AlarmChanges = field(default_factory=AlarmChanges)


class Emptied(NamedTuple):
    """A container that was emptied, from the mailbox of a partition."""

    id: int
    descriptor: Descriptor
    time: int
    forced: bool


class PartitionStore(Protocol):
    """Readings and windows of the partitions that this process owns."""

    async def load(self, partition: int) -> Loaded:
        """All series of the partition."""
        ...

    async def register(self, partition: int, descriptors: Sequence[Descriptor]) -> Sequence[StoredSeries]:
        """The series with these identities, made where missing and brought up to date (see `Descriptor.told`), in the
        order given."""
        ...

    async def describe(self, descriptors: Sequence[Descriptor]) -> None:
        """Other rules of series that are there; those of a lower revision than is stored change nothing."""
        ...

    async def contexts(self, ids: Ints, ranges: Sequence[LateRange]) -> Sequence[Context]:
        """What is stored about each range."""
        ...

    async def recomputations(self, partition: int, limit: int) -> Sequence[Recomputation]:
        """What is asked to be recomputed and not done, oldest first."""
        ...

    async def past(self, series_id: int, start: int, end: int, settled: int, *, counter: bool) -> Past:
        """What is stored about [start, end) of a series, up to its last settled reading."""
        ...

    async def first_reading(self, series_id: int, since: int) -> int | None:
        """A time at or before which the first reading at or after `since` (also one that came too late) lies, by less
        than a quarter of an hour; None: there is none."""
        ...

    async def mailbox(self, partition: int, limit: int) -> Sequence[Emptied]:
        """Containers emptied that have not had their effect, oldest first."""
        ...

    async def commit(self, lease: Lease, write: Write) -> None:
        """All or nothing. Raises LeaseLost."""
        ...

    async def bookmark(self, lease: Lease) -> Bookmark:
        """What is remembered of the partition. Raises LeaseLost."""
        ...


class LeaseStore(Protocol):
    """Who owns which partition. Times are those of the store's clock."""

    async def beat(self, owner: str, held: Sequence[Lease]) -> "Standing":
        """Says that the owner lives and renews its leases; tells which it still holds, and how things stand."""
        ...

    async def acquire(self, owner: str, limit: int) -> Sequence[Lease]:
        """Takes up to `limit` partitions that nobody holds."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Gives partitions back at once."""
        ...

    async def leave(self, owner: str) -> None:
        """The owner is gone."""
        ...


class Standing(NamedTuple):
    """`held`: leases that are still ours; `replicas`: living ones; `free`: partitions that nobody holds."""

    held: Sequence[Lease]
    replicas: int
    free: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a partition, decoded. `handle` is what the lane needs to acknowledge it."""

    sequence: int
    accepted: float
    """When it became durable (seconds since the Unix epoch)."""
    descriptors: Sequence[bytes]
    """Serialized series descriptors; equal bytes mean equal descriptors."""
    index: Ints
    time: Ints
    value: Floats
    handle: Any
    cautious: frozenset[int] = frozenset()
    """Places of descriptors whose device is known to send decreasing values now and then."""
    changed: Sequence[Descriptor] = ()
    """Rules that have changed in the catalogue (see `Descriptor.changed`)."""
    follows: Follows | None = None
    """The message that its publisher had acknowledged before it, if it says so."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.sequence, self.accepted)


class ReadingLane(Protocol):
    """Messages of one partition in the order of the stream."""

    async def fetch(self) -> Sequence[Message]:
        """The next messages, none after a while. What is not acknowledged may come again, and then all of it does, in
        order, before anything newer. A message that cannot be read is put aside, and comes without readings."""
        ...

    async def done(self, messages: Sequence[Message]) -> None:
        """Their effect is committed."""
        ...

    async def put_aside(self, message: Message, error: Exception) -> Message:
        """Moves a message that cannot be processed to the dead letters; the message without its readings. Raises
        Unavailable."""
        ...

    def describe(self, descriptor: bytes) -> Descriptor:
        """Parses a descriptor."""
        ...

    async def drained(self) -> bool:
        """Whether everything that had been accepted when this was called has been fetched and its effect committed;
        False also when nobody can tell now."""
        ...


class RoomKey(NamedTuple):
    """One sensor type in one room."""

    building: str
    room: str
    sensor_type: str


OPEN: Final = 2**62
"""The bound of a range of time that has no end: later than every reading."""


class Snapshot(Protocol):
    """One consistent view of committed data."""

    async def series(self, building: str, room: str, sensor_type: str, device: str) -> Sequence[SeriesInfo]:
        """The series of a room and sensor type, by device; of one device where it is given."""
        ...

    async def rooms(self, rooms: Sequence[RoomKey]) -> Sequence[SeriesInfo]:
        """The series of all these rooms, in any order. No room is named twice."""
        ...

    async def building(
        self, building: str, sensor_type: str, after: tuple[str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """The first `limit` series of a building and sensor type by (room, device), as bytes compare; those beyond
        `after` where it is given."""
        ...

    async def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int) -> Folded:
        """What covers [start, end) and its neighbourhood, with windows up to `level` (see `cover`, `spans`)."""
        ...

    async def readings(self, infos: Sequence[SeriesInfo], start: int, end: int) -> Readings:
        """All raw readings in [start, end), late ones too; `series` are places in `infos`. Sorted by series and
        time."""
        ...

    async def next_reading(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """The event time of a reading at or after `bound` (before it), with no quarter of an hour that holds readings
        between the two; None: there is none."""
        ...

    async def next_known(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """The first instant at or after `bound` (the last one before it) at which there is a reading that counts in
        windows, or that lies between two of them which are no farther apart than `max_gap`; to a quarter of an hour,
        with no known time between. None: there is none. `bound` is a whole quarter of an hour."""
        ...

    async def newest(self, infos: Sequence[SeriesInfo], since: int) -> dict[int, int]:
        """Place -> event time of the newest reading that counts in windows, of the series that have one at or after
        `since`."""
        ...

    async def next_window(
        self, infos: Sequence[SeriesInfo], step: int, bound: int, until: int | None, *, after: bool
    ) -> int | None:
        """The start of the first stored window of the step at or after `bound`, or of the last one before it; those
        beyond `until` need not be found."""
        ...

    async def revisions(
        self, infos: Sequence[SeriesInfo], step: int, start: int, end: int
    ) -> dict[tuple[int, int], int]:
        """(place in infos, start) -> revision of the stored windows of the step."""
        ...


class Glance(NamedTuple):
    """Series, and what covers a span of them (`series` of `pieces`: places in `infos`), as they were at one moment."""

    infos: Sequence[SeriesInfo]
    pieces: Folded


class History(Protocol):
    """What has been committed."""

    async def glance(self, rooms: Sequence[RoomKey], start: int, end: int, level: int, most: int) -> Glance | None:
        """What a snapshot would show now of all these rooms (see `Snapshot.rooms`, `Snapshot.pieces`), for less. None
        where it takes a snapshot: there are more than `most` series, or such as take several looks (counters)."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A view that does not change while it is read."""
        ...
