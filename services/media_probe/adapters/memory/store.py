"""`VideoStore` in memory: the same promises as the one on PostgreSQL, for tests of use cases and the contract suite."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.ids import new_id
from services.media_probe.application.errors import VideoNotFailed, VideoNotFound
from services.media_probe.application.ports import MAX_HISTORY, Known
from services.media_probe.domain.video import Alert, Attempt, Effort, State, Video, VideoFilter, next_version


class InMemoryVideoStore:
    """Rows by uid. `retried` are the (uid, event id) pairs that were reported again."""

    def __init__(self) -> None:
        self.retried: list[tuple[str, str]] = []
        self._rows: dict[str, Video] = {}
        self._earlier: dict[str, list[Attempt]] = {}
        self._made: dict[str, datetime] = {}
        self._marks: set[str] = set()

    async def get(self, uid: str) -> Video | None:
        """See the port."""
        row = self._rows.get(uid)
        if row is None:
            return None
        last = row.last_attempt()
        attempts = (*self._earlier.get(uid, ()), *((last,) if last is not None else ()))
        return replace(row, history=attempts[-MAX_HISTORY:])

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
        if (there := self._rows.get(row.uid)) is not None and there.settles(alert):
            return False
        if row.state is not State.RETRYING:
            mark = alert.event_id if row.state is State.PROBED else _failure_mark(alert)
            if mark in self._marks:
                return False
            self._marks.add(mark)
            row = replace(row, result_event=new_id())
        self._put(row)
        return True

    def _put(self, row: Video) -> None:
        if (there := self._rows.get(row.uid)) is not None:
            row = replace(row, version=max(there.version + 1, row.version))
            if (last := there.last_attempt()) is not None:
                self._earlier.setdefault(row.uid, []).append(last)
        now = datetime.now(UTC)
        self._made.setdefault(row.uid, now)
        self._rows[row.uid] = replace(row, update_time=now)

    async def remove(self, before: datetime, limit: int) -> int:
        """See the port."""
        old = [uid for uid, made in self._made.items() if made < before][:limit]
        for uid in old:
            del self._made[uid], self._rows[uid]
            self._earlier.pop(uid, None)
        return len(old)

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
            version=next_version(row),
            result_event="",
        )
        self._put(again)
        self.retried.append((uid, event_id))
        return self._rows[uid]


def _failure_mark(alert: Alert) -> str:
    # As in PostgreSQL: a failure counts for one entry of the stream, so that a dead letter sent back is probed again.
    return f"{alert.event_id}@{alert.delivery}"
