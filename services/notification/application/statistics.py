"""Counting notifications."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.notification.application.tenants import Tenants
from services.notification.domain.statistics import Count, Figures, Interval, Period, series, summed


class NotificationCounts(Protocol):
    """The counts of all tenants' notifications: at any time those that counting the notifications would give."""

    async def counts(self, tenant: str, period: Period, interval: Interval | None) -> Sequence[Count]:
        """Those of a period, by interval where one is given."""
        ...


class StatisticsQueries:
    """Handles the queries."""

    def __init__(self, tenants: Tenants, counts: NotificationCounts) -> None:
        self._tenants = tenants
        self._counts = counts

    async def figures(
        self, tenant: str, period: Period, interval: Interval | None = None
    ) -> tuple[Figures, Sequence[tuple[datetime, Figures]]]:
        """Of the period, and by interval. Raises TenantForbidden, TenantUnknown and PeriodInvalid."""
        self._tenants.require(tenant)
        found = await self._counts.counts(tenant, period, interval)
        return summed(found), series(found)
