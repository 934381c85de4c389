"""`AlarmRuleStore` on PostgreSQL."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, NoReturn

import asyncpg

from services.aggregation.adapters.postgres.alarm_scopes import count_series
from services.aggregation.domain.alarms.rule import KINDS, AlarmRule, Condition, Direction, Severity
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.errors import AlarmRuleExists, AlarmRuleNotFound, TooManyAlarmRules
from services.chassis.postgres import Connection, Database
from services.chassis.postgres.listener import reload_on_change

CHANNEL: Final = "aggregation_alarm_rules"
"""Told with every change."""
_SETTLE: Final = timedelta(milliseconds=20)
"""Changes come in bursts: reading the rules once for all of them is enough."""
_KINDS: Final[Mapping[str, type[Condition]]] = {name: kind for kind, name in KINDS.items()}
_COLUMNS = """
id, generation, title, building, room, sensor_type, device, severity, disabled, tenant, notify, condition::text,
notify_cleared, unit, canonical_unit, created_at, updated_at
"""
_FIELDS = (
    "title, building, room, sensor_type, device, severity, disabled, tenant, notify, condition, notify_cleared, unit, "
    "canonical_unit"
)
_TELL = "SELECT pg_notify($1, '')"
_LOCK = "LOCK TABLE alarm_rules IN SHARE ROW EXCLUSIVE MODE"


class PostgresAlarmRuleStore:
    """The stored rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, rule: AlarmRule, limit: int) -> AlarmRule:
        """See `AlarmRuleStore`."""
        taken = {"alarm_rules_pkey": lambda: AlarmRuleExists(rule.id)}
        async with self._database.transaction(taken) as connection:
            # Rules are made by people: that they wait for each other keeps their number exact.
            await connection.execute(_LOCK)
            known = await connection.fetchrow(
                "SELECT count(*) AS rules, coalesce(bool_or(id = $1), false) AS taken FROM alarm_rules", rule.id
            )
            assert known is not None
            if known["taken"]:
                raise AlarmRuleExists(rule.id)
            if known["rules"] >= limit:
                raise TooManyAlarmRules(limit)
            row = await connection.fetchrow(
                f"""
                INSERT INTO alarm_rules (id, {_FIELDS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                    $13, $14)
                RETURNING {_COLUMNS}
                """,
                rule.id,
                *_values(rule),
            )
            await connection.execute(_TELL, CHANNEL)
        assert row is not None
        return rule_of(row)

    async def get(self, id_: str) -> AlarmRule:
        """See `AlarmRuleStore`."""
        async with self._database.connection() as connection:
            return await _read(connection, id_)

    async def list_rules(self, after: str | None, limit: int) -> list[AlarmRule]:
        """See `AlarmRuleStore`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f'SELECT {_COLUMNS} FROM alarm_rules WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2',
                after or "",
                limit,
            )
        return [rule_of(row) for row in rows]

    async def all_rules(self) -> list[AlarmRule]:
        """See `AlarmRuleStore`."""
        async with self._database.connection() as connection:
            return [
                rule_of(row)
                for row in await connection.fetch(f'SELECT {_COLUMNS} FROM alarm_rules ORDER BY id COLLATE "C"')
            ]

    async def count_series(self, scopes: Sequence[Scope], limit: int) -> Sequence[int]:
        """See `AlarmRuleStore`."""
        async with self._database.connection() as connection:
            return await count_series(connection, scopes, limit)

    async def update(self, id_: str, change: Callable[[AlarmRule], AlarmRule]) -> AlarmRule:
        """See `AlarmRuleStore`."""
        async with self._database.transaction() as connection:
            current = await _read(connection, id_, "FOR UPDATE")
            wanted = change(current)
            row = await connection.fetchrow(
                f"""
                UPDATE alarm_rules SET ({_FIELDS}) = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14),
                    updated_at = now(),
                    generation = CASE WHEN $15 THEN generation ELSE nextval('alarm_generations') END
                WHERE id = $1 RETURNING {_COLUMNS}
                """,
                id_,
                *_values(wanted),
                wanted.evaluates_like(current),
            )
            await connection.execute(_TELL, CHANNEL)
        assert row is not None
        return rule_of(row)

    async def delete(self, id_: str) -> None:
        """See `AlarmRuleStore`."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval("DELETE FROM alarm_rules WHERE id = $1 RETURNING true", id_):
                raise AlarmRuleNotFound(id_)
            await connection.execute(_TELL, CHANNEL)


async def reload_on_rule_change(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> NoReturn:
    """Calls `reload` after each change, whichever replica makes it, and after each (re)connect. For ever."""
    await reload_on_change(
        dsn,
        schema,
        "tocsin-aggregation-alarm-rules",
        CHANNEL,
        reload,
        settle=_SETTLE,
        lost="aggregation.alarm_rules_listener_lost",
    )


async def _read(connection: Connection, id_: str, lock: str = "") -> AlarmRule:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM alarm_rules WHERE id = $1 {lock}", id_)
    if row is None:
        raise AlarmRuleNotFound(id_)
    return rule_of(row)


def _values(rule: AlarmRule) -> tuple[object, ...]:
    return (
        rule.title,
        *(rule.building, rule.room, rule.sensor_type, rule.device),
        int(rule.severity),
        rule.disabled,
        rule.tenant,
        list(rule.notify),
        json.dumps({"kind": rule.kind, **asdict(rule.condition)}),
        *(rule.notify_cleared, rule.unit, rule.canonical_unit),
    )


def rule_of(row: asyncpg.Record) -> AlarmRule:
    """A row as a rule."""
    return AlarmRule(
        id=row["id"],
        generation=row["generation"],
        title=row["title"],
        building=row["building"],
        room=row["room"],
        sensor_type=row["sensor_type"],
        device=row["device"],
        severity=Severity(row["severity"]),
        disabled=row["disabled"],
        tenant=row["tenant"],
        notify=tuple(row["notify"]),
        condition=_condition(json.loads(row["condition"])),
        notify_cleared=row["notify_cleared"],
        unit=row["unit"],
        canonical_unit=row["canonical_unit"],
        created=row["created_at"],
        updated=row["updated_at"],
    )


_FLOATS: Final = ("limit", "hysteresis", "below", "tolerance", "limit_per_hour", "level")


def _condition(stored: dict[str, Any]) -> Condition:
    kind = _KINDS[stored.pop("kind")]
    # JSON in the database has numbers, not doubles: 300.0 may come back as 300, 1e308 with all its digits.
    values: dict[str, Any] = {name: float(value) if name in _FLOATS else value for name, value in stored.items()}
    if "direction" in values:
        values["direction"] = Direction(values["direction"])
    return kind(**values)
