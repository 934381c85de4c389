"""Making, changing and reading reminders."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime

from services.chassis.ids import new_id
from services.chassis.origins import Targets
from services.notification.application.reminders.ports import (
    Limits,
    OccurrenceFilter,
    ReminderFilter,
    ReminderStatistics,
    ReminderStore,
    StatisticsFilter,
)
from services.notification.application.tenants import Tenants
from services.notification.domain.links import LinkOrigins
from services.notification.domain.reminders.errors import CheckOriginForbidden
from services.notification.domain.reminders.occurrence import Occurrence
from services.notification.domain.reminders.reminder import Content, Reminder


class Reminders:
    """Handles commands and queries. All raise TenantForbidden and TenantUnknown. Checks may ask `origins` only, links
    lead to `links`."""

    def __init__(
        self, tenants: Tenants, store: ReminderStore, origins: Targets, limits: Limits, links: LinkOrigins
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._origins = origins
        self._limits = limits
        self._links = links

    async def create(
        self, tenant: str, id_: str, user: str, content: Content, *, idempotency_key: str = ""
    ) -> Reminder:
        """The reminder; one that is there with the same content. Without an id it has one of its idempotency key, or a
        new one. Raises ReminderExists, ReminderLimit, ScheduleInvalid, CheckOriginForbidden and LinkForbidden."""
        self._tenants.require(tenant)
        self._check(content)
        reminder, _ = await self._store.create(tenant, id_ or _id_of(idempotency_key), user, content, self._limits)
        return reminder

    async def get(self, tenant: str, id_: str) -> Reminder:
        """Raises ReminderNotFound."""
        self._tenants.require(tenant)
        return await self._store.get(tenant, id_)

    async def page(self, wanted: ReminderFilter, *, limit: int, after: str) -> Sequence[Reminder]:
        """Up to `limit` reminders by id, after an id."""
        self._tenants.require(wanted.tenant)
        return await self._store.page(wanted, limit=limit, after=after)

    async def update(
        self, tenant: str, id_: str, content: Callable[[Content], Content], *, expected: int = 0
    ) -> Reminder:
        """What it has become, of what `content` makes of its content. Raises ReminderNotFound, VersionConflict,
        ScheduleInvalid, CheckOriginForbidden and LinkForbidden."""

        def change(reminder: Reminder, now: datetime) -> Reminder:
            changed = content(reminder.content)
            self._check(changed)
            return reminder.changed(changed, now)

        self._tenants.require(tenant)
        return await self._store.change(tenant, id_, change, expected=expected)

    async def delete(self, tenant: str, id_: str, *, expected: int = 0) -> None:
        """Raises ReminderNotFound and VersionConflict."""
        self._tenants.require(tenant)
        await self._store.delete(tenant, id_, expected=expected)

    async def pause(self, tenant: str, id_: str, *, expected: int = 0) -> Reminder:
        """Raises ReminderNotFound and VersionConflict."""
        self._tenants.require(tenant)
        return await self._store.change(tenant, id_, Reminder.paused, expected=expected)

    async def resume(self, tenant: str, id_: str, *, expected: int = 0) -> Reminder:
        """Raises ReminderNotFound, ReminderEnded and VersionConflict."""
        self._tenants.require(tenant)
        return await self._store.change(tenant, id_, Reminder.resumed, expected=expected)

    async def occurrences(
        self, wanted: OccurrenceFilter, *, limit: int, before: datetime | None
    ) -> Sequence[Occurrence]:
        """Up to `limit` occurrences, the latest first, before a time. Raises ReminderNotFound."""
        self._tenants.require(wanted.tenant)
        return await self._store.occurrences(wanted, limit=limit, before=before)

    async def statistics(self, wanted: StatisticsFilter) -> ReminderStatistics:
        """What was decided. Raises ReminderNotFound for a single reminder that is not there."""
        self._tenants.require(wanted.tenant)
        return await self._store.statistics(wanted)

    def _check(self, content: Content) -> None:
        if content.check is not None and content.check.origin not in self._origins:
            raise CheckOriginForbidden(str(content.check.origin))
        self._links.check(content.link, "reminder.link")


def _id_of(idempotency_key: str) -> str:
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:32] if idempotency_key else new_id()
