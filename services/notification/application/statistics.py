"""Counting notifications."""

from typing import Protocol

from services.notification.application.tenants import Tenants
from services.notification.domain.statistics import Interval, Period, Statistics


class NotificationCounts(Protocol):
    """The counts of all tenants' notifications: at any time those that counting the notifications would give."""

    async def statistics(self, tenant: str, period: Period, interval: Interval | None) -> Statistics:
        """Those of a period, by interval, too, where one is given. Raises PeriodInvalid for too many intervals."""
        ...


class StatisticsQueries:
    """Handles the queries."""

    def __init__(self, tenants: Tenants, counts: NotificationCounts) -> None:
        self._tenants = tenants
        self._counts = counts

    async def statistics(self, tenant: str, period: Period, interval: Interval | None = None) -> Statistics:
        """See NotificationCounts. Raises TenantForbidden, TenantUnknown and PeriodInvalid."""
        self._tenants.require(tenant)
        return await self._counts.statistics(tenant, period, interval)
