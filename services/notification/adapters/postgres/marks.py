"""Marks notifications as read and as opened, many in one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.errors import NotificationNotFound, VersionConflict
from services.notification.domain.notification import Notification

_MARK = f"""
    WITH marks AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::boolean[]) AS m (id, expected, opened)
    ), wanted AS (
        SELECT n.id, (SELECT opened FROM marks m WHERE m.id = n.id) AS opened
        FROM TENANT.notifications n WHERE id = ANY($1::uuid[])
            AND EXISTS (
                SELECT FROM marks m WHERE m.id = n.id AND m.expected IN (0, n.version)
                    AND (n.read_at IS NULL OR (m.opened AND n.opened_at IS NULL))
            )
        ORDER BY id FOR NO KEY UPDATE
    ), marked AS (
        UPDATE TENANT.notifications n SET
            read_at = coalesce(n.read_at, $4),
            opened_at = CASE WHEN wanted.opened THEN coalesce(n.opened_at, $4) ELSE n.opened_at END,
            version = n.version + 1
        FROM wanted
        WHERE n.id = wanted.id AND (n.read_at IS NULL OR (wanted.opened AND n.opened_at IS NULL)) RETURNING n.*
    )
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM marked n {rows.SCHEDULED}
"""
_READ = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM TENANT.notifications n {rows.SCHEDULED}
    WHERE n.id = ANY($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """That a notification was read, or `opened`, which is read, too. `expected`: the version that was seen, 0 for
    any."""

    tenant: str
    id: str
    expected: int = 0
    opened: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Of the notification."""
        return self.tenant, self.id

    def without_change(self, kept: Notification | None) -> Notification | DomainError | None:
        """What comes of it where nothing is to be changed; None where something is."""
        if kept is None:
            return NotificationNotFound(metadata={"id": self.id})
        if self.expected not in (0, kept.version):
            return VersionConflict(self.id, self.expected, kept.version)
        if kept.read_at is None or (self.opened and kept.opened_at is None):
            return None
        return kept


class Marks:
    """Makes marks; those of one moment share a transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._making = database.group_commit("marks", self._make)

    async def make(self, mark: Mark) -> Notification:
        """The notification then. Raises NotificationNotFound and VersionConflict."""
        if not is_own_id(mark.id):
            raise NotificationNotFound(metadata={"id": mark.id})
        return await self._making.submit(mark)

    async def _make(self, connection: Connection, marks: Sequence[Mark]) -> list[Notification | DomainError]:
        now = await self._clock.now(connection)
        outcomes: dict[int, Notification | DomainError] = {}
        waiting = dict(enumerate(marks))
        while waiting:
            # One of each notification at a time: the next one is judged by what has become of it. A notification is
            # changed twice at most, so there are few turns.
            firsts = {mark.key: place for place, mark in reversed(waiting.items())}
            changed, kept = await _change(connection, [waiting[place] for place in firsts.values()], now)
            outcomes |= {firsts[key]: after for key, after in changed.items()}
            known = changed | kept
            changing = set[tuple[str, str]]()
            for place, mark in waiting.items():
                if place in outcomes or mark.key in changing:
                    continue
                if (outcome := mark.without_change(known.get(mark.key))) is not None:
                    outcomes[place] = outcome
                else:  # those behind it are judged by what becomes of it
                    changing.add(mark.key)
            waiting = {place: mark for place, mark in waiting.items() if place not in outcomes}
        return [outcomes[place] for place in range(len(marks))]


_Found = dict[tuple[str, str], Notification]


async def _change(connection: Connection, marks: Iterable[Mark], now: datetime) -> tuple[_Found, _Found]:
    """The notifications that were changed by their marks, one of each, and those that were not."""
    by_tenant: Mapping[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        by_tenant[mark.tenant].append(mark)
    changed, kept = _Found(), _Found()
    for tenant in sorted(by_tenant):
        wanted = by_tenant[tenant]
        ids = [one.id for one in wanted]
        versions, opened = [one.expected for one in wanted], [one.opened for one in wanted]
        marked = await connection.fetch(in_tenant(_MARK, tenant), ids, versions, opened, now)
        changed |= _notifications(tenant, marked)
        if others := set(ids) - {row["id"] for row in marked}:
            kept |= _notifications(tenant, await connection.fetch(in_tenant(_READ, tenant), sorted(others)))
    return changed, kept


def _notifications(tenant: str, found: Iterable[rows.Row]) -> _Found:
    return {(tenant, row["id"]): rows.notification(row, tenant, row["next_attempt_at"]) for row in found}
