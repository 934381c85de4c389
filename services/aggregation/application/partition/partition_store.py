"""The port of a partition's data: what its owner reads and writes, in one transaction for each batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

from services.aggregation.application.partition.announcements import Announcements, WindowKey
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.domain.alarms.alarm import AlarmChanges
from services.aggregation.domain.columns import Floats, Ints
from services.aggregation.domain.counters.correction import Correction, Decision
from services.aggregation.domain.late.amendments import Amended, AskedAmendment, RawReading
from services.aggregation.domain.late.conflicts import ReadingConflict, StoredReading
from services.aggregation.domain.late.context import Context, LateRange
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.late.recomputation import StoredChunk
from services.aggregation.domain.partition.continuity import Bookmark, Lost
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.windows.open_windows import ClosedWindows


class StoredSeries(NamedTuple):
    """A series with its id and what its owner had remembered (`state` None: nothing). `outdated`: what it had was of
    another layout, or for other steps. `left`: when its device has left its place."""

    id: int
    descriptor: Descriptor
    state: bytes | None
    outdated: "Outdated | None" = None
    left: int | None = None


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
    do not hold yet, sorted by series and time. `voided`: (series id, event time) of voided ones as new as those.
    `vacant`: (series id, step, start, revision) of windows whose readings were all voided."""

    series: Sequence[StoredSeries]
    unsettled: tuple[Ints, Ints, Floats]
    voided: Sequence[tuple[int, int]] = ()
    vacant: Sequence[tuple[int, int, int, int]] = ()
    decisions: Mapping[int, Mapping[int, Decision]] = MappingProxyType({})
    """What people have decided about readings of counters, by series id and event time."""


class SavedState(NamedTuple):
    """What is stored of a series' state. `frontiers`: per step, windows that start before it are complete."""

    series_id: int
    interval: int
    max_gap: int
    frontiers: Sequence[int]
    settled: int
    state: bytes


class Recomputation(NamedTuple):
    """A series whose windows are to be folded anew from `cursor` (None: from its first reading) to `end`. `totals`:
    what was done so far. `amends`: its readings may be fewer than its windows hold, and `amendments` are to be applied
    before; `through`: the first chunk is as long as to there, whether it holds readings or not."""

    id: int
    series_id: int
    cursor: int | None
    end: int
    include_too_late: bool
    totals: "Totals"
    amends: bool = False
    amendments: Sequence[AskedAmendment] = ()
    through: int | None = None


class Totals(NamedTuple):
    """What recomputing has come to: readings folded, windows compared, windows that differed."""

    readings: int = 0
    windows: int = 0
    changed: int = 0


class Progress(NamedTuple):
    """Where a recomputation stands after a write; `done`: there is nothing left of it. `through` as in `Recomputation`;
    `end`: another one from now on."""

    id: int
    cursor: int
    totals: Totals
    done: bool
    through: int | None = None
    end: int | None = None


class AmendedReadings(NamedTuple):
    """Readings of a series (a local index) that are others from now on."""

    series: int
    amended: Amended


@dataclass(slots=True)
class Write:
    """Everything that one batch changes; it is committed as a whole or not at all.

    Columns refer to series by local index; `ids` translates to stored ids, `max_gaps` and `kinds` belong to them.
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
    closed: Sequence[ClosedWindows] = ()
    revised: Sequence[RevisedWindow] = ()
    states: Sequence[SavedState] = ()
    corrections: Sequence[Correction] = ()
    """One per reading: they take the place of what was stored about the same reading."""
    recounted: Sequence[tuple[int, int, int]] = ()
    """(local index, from, to): `corrections` are all that there are now of readings in between."""
    readmitted: Sequence[tuple[int, int, int]] = ()
    """(local index, from, to): readings in between that came too late count from now on."""
    progress: Progress | None = None
    amended: AmendedReadings | None = None
    conflicts: Sequence[ReadingConflict] = ()
    superseding: Sequence[tuple[int, int, float]] = ()
    """(local index, event time, value): asks for amendments by nobody, since a later value counts."""
    filled: Sequence[tuple[int, int, int]] = ()
    """(local index, step, start) of windows that were vacant, and hold readings again."""
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
        """The series with these identities, made where missing and brought up to date (see `Descriptor.updated`), in
        the order given."""
        ...

    async def describe(self, descriptors: Sequence[Descriptor]) -> None:
        """Other rules of series that are there; those of a lower revision than is stored change nothing."""
        ...

    async def learn_sensor_types(self, told: Sequence[SensorTypeInfo]) -> None:
        """What the catalogue says of these; what was told before what is known changes nothing."""
        ...

    async def leave(self, left: Sequence[tuple[int, int]], back: Sequence[int]) -> None:
        """Devices have left the places of these series (id, when); others (ids) have one again. It can be said
        again."""
        ...

    async def contexts(self, ids: Ints, ranges: Sequence[LateRange]) -> Sequence[Context]:
        """What is stored about each range."""
        ...

    async def recomputations(self, partition: int, limit: int) -> Sequence[Recomputation]:
        """What is asked to be recomputed and not done, oldest first."""
        ...

    async def past(self, series_id: int, start: int, end: int, settled: int, ahead: int, max_gap: int) -> StoredChunk:
        """What is stored about [start, end) of a series, up to its last settled reading. `ahead`: how many readings
        after it are read of a counter; 0: the series is none. `max_gap`: that of the series."""
        ...

    async def first_reading(self, series_id: int, since: int) -> int | None:
        """A time at or before which the first reading at or after `since` (also one that came too late) lies, by less
        than a quarter of an hour; None: there is none."""
        ...

    async def at(self, series_id: int, times: Sequence[int]) -> Mapping[int, RawReading]:
        """The stored readings of these event times."""
        ...

    async def stored(self, keys: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], StoredReading]:
        """The stored readings of these (series id, event time)."""
        ...

    async def decisions(self, series_id: int) -> Mapping[int, Decision]:
        """What people have decided about readings of a counter, by event time."""
        ...

    async def last_before(self, series_id: int, time: int) -> tuple[int, float] | None:
        """The last reading before the time that counts in windows."""
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
