"""Keeping alarm rules, each with how many series it is about, so that a rule that would stay silent for ever is seen at
once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.aggregation.application.alarms.ports import AlarmRuleStore, SensorTypes
from services.aggregation.domain.alarms.limits import check_limits, with_sensor_type
from services.aggregation.domain.alarms.rule import AlarmRule
from services.aggregation.domain.alarms.scope import MAX_COUNTED, Match, narrowing, scope_of
from services.aggregation.domain.errors import TenantUnknown
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.chassis.auth import principal
from services.chassis.paging import Page, PageTokens, page_limit


class MatchedRule(NamedTuple):
    """A rule, and what it evaluates."""

    rule: AlarmRule
    match: Match


async def matched(store: AlarmRuleStore, rules: Sequence[AlarmRule]) -> list[MatchedRule]:
    """One look at the store for all of them, and another one where some match nothing."""
    if not rules:
        return []
    counts = await store.count_series([scope_of(rule) for rule in rules], MAX_COUNTED)
    silent = [rule for rule, count in zip(rules, counts, strict=True) if not count]
    parts = [(rule.id, part, scope) for rule in silent for part, scope in narrowing(rule)]
    some = await store.count_series([scope for _, _, scope in parts], 1) if parts else ()
    unmatched = {id_: part for (id_, part, _), count in reversed([*zip(parts, some, strict=True)]) if not count}
    return [
        MatchedRule(rule, Match(count, None if count else unmatched.get(rule.id)))
        for rule, count in zip(rules, counts, strict=True)
    ]


class AlarmRules:
    """Keeping rules, which come and go in the unit in which people give their limits. `tenants`: those of the
    deployment, empty where nobody says. Whoever touches a rule of a tenant needs a token that names the tenant; to
    others a rule shows all but the names of people. Each comes with what it matches now."""

    def __init__(
        self, store: AlarmRuleStore, types: SensorTypes, rules: Rules, limit: int, tenants: Sequence[str]
    ) -> None:
        self._store = store
        self._types = types
        self._tenants = tenants
        self._rules = rules
        self._limit = limit

    async def create(self, rule: AlarmRule) -> MatchedRule:
        """Raises FieldInvalid, StepUnknown, TenantDenied, TenantUnknown, AlarmRuleExists, TooManyAlarmRules."""
        checked = self._checked(rule, await self._types.sensor_types())
        return await self._matched(await self._store.create(checked, self._limit))

    async def checked(self, rule: AlarmRule) -> AlarmRule:
        """As `create` would store it. Raises what it does about the rule itself."""
        return self._checked(rule, await self._types.sensor_types())

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
        types = await self._types.sensor_types()

        def checked(current: AlarmRule) -> AlarmRule:
            _may_touch(current)
            return self._checked(change(current), types)

        return await self._matched(await self._store.update(id_, checked))

    async def delete(self, id_: str) -> None:
        """Raises AlarmRuleNotFound, TenantDenied."""
        _may_touch(await self._store.get(id_))
        await self._store.delete(id_)

    async def _matched(self, rule: AlarmRule) -> MatchedRule:
        (found,) = await matched(self._store, [rule])
        return found

    def _checked(self, rule: AlarmRule, types: Mapping[str, SensorTypeInfo]) -> AlarmRule:
        """With its condition in the canonical unit."""
        rule.check(self._rules)
        _may_touch(rule)
        if rule.tenant and self._tenants and rule.tenant not in self._tenants:
            raise TenantUnknown(rule.tenant, self._tenants)
        known = types.get(rule.sensor_type)
        rule = with_sensor_type(rule, known)
        if known is not None:
            check_limits(rule, known)
        return rule


def _may_touch(rule: AlarmRule) -> None:
    if rule.tenant:
        principal.current().require_tenant(rule.tenant)


def _shown(rule: AlarmRule) -> AlarmRule:
    if rule.tenant and not principal.current().may_touch(rule.tenant):
        return replace(rule, notify=())
    return rule
