"""Taking video alerts in, and telling where they are."""

import asyncio
from collections.abc import Sequence

from services.chassis.errors import AlreadyExists, DomainError, InvalidArgument
from services.chassis.ids import is_id
from services.chassis.origins import Targets
from services.chassis.paging import Page, PageTokenInvalid, PageTokens, fetch_page
from services.ingestion.application.ports import Alerts, VideoGuard
from services.ingestion.domain.alert import Alert, AlertFilter, check_video
from services.ingestion.domain.errors import AlertExists, ResourceNotFound

_JUDGED_AT_ONCE = 50


class AlertDesk:
    """The use cases. `allowed`: where absolute video URLs may point."""

    def __init__(self, alerts: Alerts, allowed: Targets, guard: VideoGuard) -> None:
        self._alerts = alerts
        self._allowed = allowed
        self._guard = guard

    async def create(self, alert: Alert, *, dry_run: bool = False) -> Alert:
        """Stores the alert and has its video probed; the same again changes nothing, and a dry run never does: what
        is returned has no times then unless it was known. Raises
        InvalidField, VideoNotAllowed, or AlertExists for other content under the same uid."""
        await self._judge(alert)
        return await (self._would_accept(alert) if dry_run else self._alerts.accept(alert))

    async def create_many(
        self, items: Sequence[Alert | DomainError], *, dry_run: bool = False
    ) -> list[Alert | DomainError]:
        """The outcome of each, in order; what is no alert stays what it is. Raises what is no item's fault, such as
        Unavailable: some may have been stored then, and sending all of them again is harmless."""
        judging = asyncio.Semaphore(_JUDGED_AT_ONCE)

        async def judged(item: Alert | DomainError) -> Alert | DomainError:
            if isinstance(item, DomainError):
                return item
            async with judging:
                try:
                    await self._judge(item)
                except InvalidArgument as refusal:
                    return refusal
            return item

        async def outcome(item: Alert | DomainError) -> Alert | DomainError:
            if isinstance(item, DomainError):
                return item
            try:
                return await (self._would_accept(item) if dry_run else self._alerts.accept(item))
            except (InvalidArgument, AlreadyExists) as refusal:
                return refusal

        # First all are judged, then all are stored: of two with one uid the first one holds.
        sound = await asyncio.gather(*map(judged, items))
        return list(await asyncio.gather(*map(outcome, sound)))

    async def _judge(self, alert: Alert) -> None:
        check_video(alert.video, self._allowed)
        if not alert.video.startswith("/"):
            await self._guard.check(alert.video)

    async def _would_accept(self, alert: Alert) -> Alert:
        try:
            known = await self._alerts.get(alert.uid)
        except ResourceNotFound:
            return alert
        if not known.same_content(alert):
            raise AlertExists(alert.uid)
        return known

    async def get(self, uid: str) -> Alert:
        """Raises ResourceNotFound."""
        return await self._alerts.get(uid)

    async def list(self, wanted: AlertFilter, size: int, token: str) -> Page[Alert]:
        """A page of alerts, newest first. Raises PageTokenInvalid."""
        tokens = PageTokens(
            "alerts", store=wanted.store, state=int(wanted.state or 0), since=wanted.since, until=wanted.until
        )
        after = None
        if key := tokens.read(token, (float, str)):
            after = float(key[0]), str(key[1])
            if not is_id(after[1]):
                raise PageTokenInvalid
        return await fetch_page(
            tokens,
            size,
            lambda limit: self._alerts.list(wanted, after, limit),
            lambda alert: (alert.timestamp, alert.uid),
        )
