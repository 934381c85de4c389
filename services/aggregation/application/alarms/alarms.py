"""Looking at alarms, and taking care of them."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.aggregation.application.alarms.ports import AlarmFilter, AlarmRuleStore, AlarmStore
from services.aggregation.domain.alarms.alarm import Alarm
from services.aggregation.domain.alarms.rule import Audience
from services.aggregation.domain.errors import AlarmRuleNotFound
from services.chassis.auth import principal
from services.chassis.paging import Page, PageTokenInvalid, PageTokens, fetch_page

_LATEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ListAlarms:
    """A page of alarms, the latest start first."""

    wanted: AlarmFilter
    page_size: int = 0
    page_token: str = ""


class Alarms:
    """Looking at alarms, and taking care of them."""

    def __init__(self, store: AlarmStore, rules: AlarmRuleStore) -> None:
        self._store = store
        self._rules = rules

    async def get(self, id_: str) -> Alarm:
        """Raises AlarmNotFound."""
        return await self._store.get(id_)

    async def list_alarms(self, query: ListAlarms) -> Page[Alarm]:
        """Raises PageTokenInvalid."""
        wanted = query.wanted
        tokens = PageTokens(
            "alarms",
            building=wanted.building,
            room=wanted.room,
            sensor_type=wanted.sensor_type,
            rule=wanted.rule,
            states=sorted(wanted.states),
        )
        before = _position(tokens, query.page_token)
        return await fetch_page(
            tokens,
            query.page_size,
            lambda limit: self._store.list_alarms(wanted, before, limit),
            lambda alarm: (alarm.start, alarm.id),
        )

    async def acknowledge(self, id_: str, note: str) -> Alarm:
        """On behalf of the caller. Raises AlarmNotFound, AlarmNotRaised."""
        return await self._store.acknowledge(id_, principal.current().subject, note)

    async def close(self, id_: str, reason: str) -> Alarm:
        """On behalf of the caller. Raises AlarmNotFound, AlarmNotRaised."""
        alarm = await self._store.get(id_)
        return await self._store.close(id_, principal.current().subject, reason, await self._audience(alarm))

    async def _audience(self, alarm: Alarm) -> Audience | None:
        try:
            return (await self._rules.get(alarm.rule)).audience
        except AlarmRuleNotFound:
            return None


def _position(tokens: PageTokens, token: str) -> tuple[int, str] | None:
    key = tokens.read(token, (int, str))
    if key is None:
        return None
    start, id_ = int(key[0]), str(key[1])
    try:
        UUID(id_)
    except ValueError:
        raise PageTokenInvalid from None
    if not 0 <= start <= _LATEST:
        raise PageTokenInvalid
    return start, id_
