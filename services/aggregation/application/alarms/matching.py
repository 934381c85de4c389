"""How many series rules judge, so that a rule that would stay silent for ever is seen at once."""

from collections.abc import Sequence
from typing import NamedTuple

from services.aggregation.application.alarms.ports import AlarmRuleStore
from services.aggregation.domain.alarms.rule import AlarmRule
from services.aggregation.domain.alarms.scope import MOST_COUNTED, Match, narrowing, scope_of


class MatchedRule(NamedTuple):
    """A rule, and what it judges."""

    rule: AlarmRule
    match: Match


async def matched(store: AlarmRuleStore, rules: Sequence[AlarmRule]) -> list[MatchedRule]:
    """One look at the store for all of them, and another one where some match nothing."""
    if not rules:
        return []
    counts = await store.count_series([scope_of(rule) for rule in rules], MOST_COUNTED)
    silent = [rule for rule, count in zip(rules, counts, strict=True) if not count]
    parts = [(rule.id, part, scope) for rule in silent for part, scope in narrowing(rule)]
    some = await store.count_series([scope for _, _, scope in parts], 1) if parts else ()
    unmatched = {id_: part for (id_, part, _), count in reversed([*zip(parts, some, strict=True)]) if not count}
    return [
        MatchedRule(rule, Match(count, None if count else unmatched.get(rule.id)))
        for rule, count in zip(rules, counts, strict=True)
    ]
