"""Taking video alerts in, and telling where they are."""

from services.chassis.origins import Targets
from services.chassis.paging import Page, PageTokenInvalid, PageTokens, fetch_page
from services.ingestion.application.ports import Alerts, VideoGuard
from services.ingestion.domain.alert import Alert, AlertState, check_video
from services.ingestion.domain.reading import to_microseconds

_YEAR_9999_US = 253_370_764_800_000_000


class AlertDesk:
    """The use cases. `allowed`: where absolute video URLs may point."""

    def __init__(self, alerts: Alerts, allowed: Targets, guard: VideoGuard) -> None:
        self._alerts = alerts
        self._allowed = allowed
        self._guard = guard

    async def create(self, alert: Alert) -> Alert:
        """Stores the alert and has its video probed; the same again changes nothing. Raises InvalidField,
        VideoNotAllowed, or ResourceExists for other content under the same uid."""
        check_video(alert.video, self._allowed)
        if not alert.video.startswith("/"):
            await self._guard.check(alert.video)
        return await self._alerts.accept(alert)

    async def get(self, uid: str) -> Alert:
        """Raises ResourceNotFound."""
        return await self._alerts.get(uid)

    async def list(self, store: str, state: AlertState | None, size: int, token: str) -> Page[Alert]:
        """A page of alerts, newest first."""
        tokens = PageTokens("alerts", store=store, state=int(state or 0))
        position = tokens.read(token, (int, str))
        before = (int(position[0]), str(position[1])) if position else None
        if before is not None and not 0 <= before[0] < _YEAR_9999_US:
            raise PageTokenInvalid
        return await fetch_page(tokens, size, lambda limit: self._alerts.list(store, state, before, limit), _position)


def _position(alert: Alert) -> tuple[int, str]:
    if alert.create_time is None:
        raise ValueError("a stored alert has a create time")
    return to_microseconds(alert.create_time), alert.uid
