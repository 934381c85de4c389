"""Readings that were not stored, since something of their event time is: whether they had another value, and what
follows from it."""

from collections.abc import Sequence

from services.aggregation.application.partition.partition_store import PartitionStore, Write
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.late.amendments import RawReading
from services.aggregation.domain.late.conflicts import StoredReading, settle_repeats
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor


async def add_conflicts(
    store: PartitionStore, ids: Ints, descriptors: Sequence[Descriptor], batch: Readings, write: Write
) -> None:
    """Adds to a write what the repeated readings of its batch come to."""
    now: dict[tuple[int, int], StoredReading] = {}
    for readings, too_late in ((write.raw, False), (write.skipped, True)):
        columns = zip(*(column.tolist() for column in readings), strict=True)
        now.update(((series, time), StoredReading(RawReading(value, too_late))) for series, time, value in columns)
    rows = list(zip(*(column.tolist() for column in batch), strict=True))
    repeated = [row for row in rows if row[:2] not in now or now[row[:2]].reading.value != row[2]]
    unknown = sorted({row[:2] for row in repeated} - now.keys())
    if unknown:
        found = await store.stored([(int(ids[series]), time) for series, time in unknown])
        now |= {key: found[int(ids[key[0]]), key[1]] for key in unknown if (int(ids[key[0]]), key[1]) in found}
    last_wins = {series: descriptors[series].last_wins for series, _, _ in repeated}
    write.conflicts, write.superseding = settle_repeats(repeated, now, last_wins)
