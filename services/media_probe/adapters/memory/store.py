"""`VideoStore` in memory: the same promises as the one on PostgreSQL, for tests of use cases and the contract suite."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.media_probe.application.errors import VideoNotFailed, VideoNotFound
from services.media_probe.application.ports import Known
from services.media_probe.domain.video import Alert, Effort, State, Video, VideoFilter


class InMemoryVideoStore:
    """Rows by uid. `retried` are the (uid, event id) pairs that were reported again."""

    def __init__(self) -> None:
        self.retried: list[tuple[str, str]] = []
        self._rows: dict[str, Video] = {}
        self._marks: set[str] = set()

    async def get(self, uid: str) -> Video | None:
        """See the port."""
        return self._rows.get(uid)

    async def page(self, wanted: VideoFilter, after: tuple[float, str] | None, limit: int) -> Sequence[Video]:
        """See the port."""
        found = [
            row
            for row in self._rows.values()
            if (after is None or (row.timestamp, row.uid) < after)
            and (not wanted.store or row.store == wanted.store)
            and (wanted.state is None or row.state is wanted.state)
            and (wanted.since is None or row.timestamp >= wanted.since)
            and (wanted.until is None or row.timestamp < wanted.until)
        ]
        return sorted(found, key=lambda row: (row.timestamp, row.uid), reverse=True)[:limit]

    async def known(self, alert: Alert) -> Known:
        """See the port."""
        seen = not self._marks.isdisjoint((alert.event_id, _failure_mark(alert)))
        return Known(self._rows.get(alert.uid), seen=seen)

    async def record(self, alert: Alert, row: Video) -> bool:
        """See the port."""
        if (there := self._rows.get(row.uid)) is not None and there.later_than(alert):
            return False
        if row.state is not State.RETRYING:
            mark = alert.event_id if row.state is State.PROBED else _failure_mark(alert)
            if mark in self._marks:
                return False
            self._marks.add(mark)
        self._rows[row.uid] = replace(row, update_time=datetime.now(UTC))
        return True

    async def retry(self, uid: str, event_id: str) -> Video:
        """See the port."""
        row = self._rows.get(uid)
        if row is None:
            raise VideoNotFound(metadata={"uid": uid})
        if row.state is not State.FAILED:
            raise VideoNotFailed(metadata={"uid": uid, "state": row.state.value})
        again = replace(
            row,
            state=State.RETRYING,
            attempts=0,
            effort=Effort(),
            event_id=event_id,
            update_time=datetime.now(UTC),
        )
        self._rows[uid] = again
        self.retried.append((uid, event_id))
        return again


def _failure_mark(alert: Alert) -> str:
    # As in PostgreSQL: a failure counts for one entry of the stream, so that a dead letter sent back is probed again.
    return f"{alert.event_id}@{alert.delivery}"
