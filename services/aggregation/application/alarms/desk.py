"""What people do with alarms: keep rules, look at alarms, take care of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from services.aggregation.application.alarms.matching import MatchedRule, matched
from services.aggregation.application.alarms.ports import AlarmFilter, AlarmRuleStore, AlarmStore
from services.aggregation.application.lists import Page
from services.aggregation.domain.alarms.alarm import Alarm
from services.aggregation.domain.alarms.rule import AlarmRule
from services.aggregation.domain.rules import Rules
from services.chassis.auth import principal
from services.chassis.paging import PageTokenInvalid, PageTokens, page_limit

_LATEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ListAlarms:
    """A page of alarms, the latest start first."""

    wanted: AlarmFilter
    page_size: int = 0
    page_token: str = ""


class AlarmRules:
    """Keeping rules. Whoever touches a rule of a tenant needs a token that names the tenant; to others a rule shows all
    but the names of people. Each comes with what it matches now."""

    def __init__(self, store: AlarmRuleStore, rules: Rules, most: int) -> None:
        self._store = store
        self._rules = rules
        self._most = most

    async def create(self, rule: AlarmRule) -> MatchedRule:
        """Raises FieldInvalid, StepUnknown, TenantDenied, AlarmRuleExists, TooManyAlarmRules."""
        self._check(rule)
        return await self._matched(await self._store.create(rule, self._most))

    async def get(self, id_: str) -> MatchedRule:
        """Raises AlarmRuleNotFound."""
        return await self._matched(_shown(await self._store.get(id_)))

    async def list_rules(self, page_size: int, page_token: str) -> Page[MatchedRule]:
        """By id. Raises PageTokenInvalid."""
        tokens, size = PageTokens("alarm_rules"), page_limit(page_size)
        after = tokens.read(page_token, (str,))
        found = await self._store.list_rules(None if after is None else str(after[0]), size + 1)
        page = await matched(self._store, [_shown(rule) for rule in found[:size]])
        return Page(page, tokens.next(found, size, lambda rule: (rule.id,)))

    async def update(self, id_: str, change: Callable[[AlarmRule], AlarmRule]) -> MatchedRule:
        """Stores what `change` makes of the rule. Raises AlarmRuleNotFound, what `change` raises, and what `create`
        does."""

        def checked(current: AlarmRule) -> AlarmRule:
            _may_touch(current)
            changed = change(current)
            self._check(changed)
            return changed

        return await self._matched(await self._store.update(id_, checked))

    async def delete(self, id_: str) -> None:
        """Raises AlarmRuleNotFound, TenantDenied."""
        _may_touch(await self._store.get(id_))
        await self._store.delete(id_)

    async def _matched(self, rule: AlarmRule) -> MatchedRule:
        (found,) = await matched(self._store, [rule])
        return found

    def _check(self, rule: AlarmRule) -> None:
        rule.check(self._rules)
        _may_touch(rule)


class Alarms:
    """Looking at alarms, and taking care of them."""

    def __init__(self, store: AlarmStore) -> None:
        self._store = store

    async def get(self, id_: str) -> Alarm:
        """Raises AlarmNotFound."""
        return await self._store.get(id_)

    async def list_alarms(self, query: ListAlarms) -> Page[Alarm]:
        """Raises PageTokenInvalid."""
        wanted, size = query.wanted, page_limit(query.page_size)
        tokens = PageTokens(
            "alarms",
            building=wanted.building,
            room=wanted.room,
            sensor_type=wanted.sensor_type,
            rule=wanted.rule,
            states=sorted(wanted.states),
        )
        found = await self._store.list_alarms(wanted, _position(tokens, query.page_token), size + 1)
        return Page(found[:size], tokens.next(found, size, lambda alarm: (alarm.start, alarm.id)))

    async def acknowledge(self, id_: str, note: str) -> Alarm:
        """On behalf of the caller. Raises AlarmNotFound, AlarmNotRaised."""
        return await self._store.acknowledge(id_, principal.current().subject, note)


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


def _may_touch(rule: AlarmRule) -> None:
    if rule.tenant:
        principal.current().require_tenant(rule.tenant)


def _shown(rule: AlarmRule) -> AlarmRule:
    if rule.tenant and not principal.current().may_touch(rule.tenant):
        return replace(rule, notify=())
    return rule
