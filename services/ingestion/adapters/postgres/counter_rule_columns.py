"""Counter rules in rows: five columns, all null where there are none."""

import asyncpg

from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules

RULES = "counter_policy, register_size, max_increase_per_hour, rounding_ratio, rounding_amount"


def values_of(rules: CounterRules | None) -> tuple[object, ...]:
    """In the order of `RULES`."""
    if rules is None:
        return (None,) * 5
    numbers = rules.register_size, rules.max_increase_per_hour, rules.rounding_ratio, rules.rounding_amount
    return int(rules.policy), *numbers


def rules_in(row: asyncpg.Record) -> CounterRules | None:
    """The rules of a row."""
    if row["counter_policy"] is None:
        return None
    return CounterRules(
        CounterPolicy(row["counter_policy"]),
        row["register_size"],
        row["max_increase_per_hour"],
        row["rounding_ratio"],
        row["rounding_amount"],
    )
