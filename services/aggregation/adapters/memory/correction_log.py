"""`CorrectionLog` over the store in memory."""

from collections.abc import Sequence

from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.queries.corrections import (
    CorrectionDecision,
    CorrectionFilter,
    StoredCorrection,
)
from services.aggregation.domain.counters.correction import Decision


class InMemoryCorrectionLog:
    """What the store holds."""

    def __init__(self, store: InMemoryPartitionStore) -> None:
        self._store = store

    async def page(
        self, wanted: CorrectionFilter, after: tuple[int, int] | None, limit: int
    ) -> tuple[Sequence[StoredCorrection], int]:
        """See `CorrectionLog`."""
        found: list[StoredCorrection] = []
        listed = self._store.overruled | self._store.corrections
        for (series_id, time), correction in listed.items():
            decided = self._store.decided.get(series_id, {}).get(time)
            _, descriptor = self._store.series[series_id]
            key = descriptor.key
            if (
                (key.building, key.room) == (wanted.building, wanted.room)
                and wanted.sensor_type in ("", key.sensor_type)
                and wanted.device in ("", key.device)
                and (wanted.start is None or time >= wanted.start)
                and (wanted.end is None or time < wanted.end)
            ):
                _, _, value, level, kind, last_time, readings, doubt = correction
                if (series_id, time) not in self._store.corrections:
                    # Decided, and none any more.
                    last_time, readings, doubt = time, 1, None
                whole = time, value, level, kind, last_time, readings, doubt
                found.append(StoredCorrection(series_id, key, descriptor.unit, *whole, _decision(decided)))
        found.sort(key=_order, reverse=True)
        return [item for item in found if after is None or _order(item) < after][:limit], len(found)


def _decision(decided: Decision | None) -> CorrectionDecision | None:
    if decided is None:
        return None
    return CorrectionDecision(decided.kind, decided.value if decided.kind == "VALUE" else None, "ann", "sure", 0)


def _order(item: StoredCorrection) -> tuple[int, int]:
    return item.time, item.series_id
