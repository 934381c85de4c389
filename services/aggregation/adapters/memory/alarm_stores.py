"""Alarms in memory: rules, and what `InMemoryPartitionStore` has stored of alarms."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.aggregation.application.alarms.ports import AlarmFilter, OpenAlarms
from services.aggregation.domain.alarms.alarm import (
    DISPROVED,
    OF_NO_VALUE,
    Alarm,
    AlarmChanges,
    AlarmEvent,
    Cause,
    Memory,
    Revocation,
    State,
)
from services.aggregation.domain.alarms.rule import AlarmRule, Audience
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.errors import (
    AlarmNotFound,
    AlarmNotRaised,
    AlarmRuleExists,
    AlarmRuleNotFound,
    TooManyAlarmRules,
)
from services.aggregation.domain.series import SeriesKey
from services.aggregation.domain.times import SECOND


class InMemoryAlarmRuleStore:
    """`AlarmRuleStore`. `series`: those that there are, each with its kind."""

    def __init__(self, series: Callable[[], Iterable[tuple[SeriesKey, int]]] = tuple) -> None:
        self._series = series
        self._rules: dict[str, AlarmRule] = {}
        self._generations = 0

    def _next(self) -> int:
        self._generations += 1
        return self._generations

    async def create(self, rule: AlarmRule, limit: int) -> AlarmRule:
        """See `AlarmRuleStore`."""
        if rule.id in self._rules:
            raise AlarmRuleExists(rule.id)
        if len(self._rules) >= limit:
            raise TooManyAlarmRules(limit)
        now = datetime.now(UTC)
        self._rules[rule.id] = replace(rule, generation=self._next(), created=now, updated=now)
        return self._rules[rule.id]

    async def get(self, id_: str) -> AlarmRule:
        """See `AlarmRuleStore`."""
        if id_ not in self._rules:
            raise AlarmRuleNotFound(id_)
        return self._rules[id_]

    async def list_rules(self, after: str | None, limit: int) -> list[AlarmRule]:
        """See `AlarmRuleStore`."""
        return [self._rules[id_] for id_ in sorted(self._rules) if id_ > (after or "")][:limit]

    async def all_rules(self) -> list[AlarmRule]:
        """See `AlarmRuleStore`."""
        return await self.list_rules(None, len(self._rules))

    async def count_series(self, scopes: Sequence[Scope], limit: int) -> Sequence[int]:
        """See `AlarmRuleStore`."""
        known = list(self._series())
        return [min(sum(scope.holds(key, kind) for key, kind in known), limit) for scope in scopes]

    async def update(self, id_: str, change: Callable[[AlarmRule], AlarmRule]) -> AlarmRule:
        """See `AlarmRuleStore`."""
        current = await self.get(id_)
        wanted = change(current)
        generation = current.generation if wanted.evaluates_like(current) else self._next()
        self._rules[id_] = replace(
            wanted, id=id_, generation=generation, created=current.created, updated=datetime.now(UTC)
        )
        return self._rules[id_]

    async def delete(self, id_: str) -> None:
        """See `AlarmRuleStore`."""
        await self.get(id_)
        del self._rules[id_]


class InMemoryAlarmStore:
    """`AlarmStore` and `OpenAlarmStore`. `partition_of`: of a series, by its id; `author_of`: who has amended a reading
    of a series last, and why."""

    def __init__(
        self,
        partition_of: Callable[[int], int | None],
        author_of: Callable[[int, int], tuple[str, str]] = lambda _series_id, _time: ("", ""),
    ) -> None:
        self._partition_of = partition_of
        self._author_of = author_of
        self.alarms: dict[str, Alarm] = {}
        self.memories: dict[tuple[int, int], Memory] = {}
        self.events: list[AlarmEvent] = []

    def write(self, changes: AlarmChanges) -> None:
        """What `PartitionStore.commit` does with it. Acknowledgements stay, and what was closed by hand."""
        silent: set[str] = set()
        for id_ in changes.forgotten:
            del self.alarms[id_]
        for alarm in changes.new:
            self.alarms.setdefault(alarm.id, replace(alarm))
        for alarm in changes.changed:
            known = self.alarms[alarm.id]
            if known.state is State.CLEARED:
                if known.lasting and alarm.state is State.CLEARED:
                    silent.add(alarm.id)
                    self.alarms[alarm.id] = replace(known, lasting=False)
                continue
            keeps = known.state is State.ACKNOWLEDGED and alarm.state is not State.CLEARED
            self.alarms[alarm.id] = replace(
                alarm,
                state=known.state if keeps else alarm.state,
                acknowledged=known.acknowledged,
                acknowledged_by=known.acknowledged_by,
                note=known.note,
                revocation=known.revocation,
            )
        for one in changes.revoked:
            made = None
            if one.reading is not None:
                made = Revocation(datetime.now(UTC), *self._author_of(one.series_id, one.reading))
            self.alarms[one.alarm] = replace(self.alarms[one.alarm], revocation=made)
        for values in changes.disproved:
            for alarm in list(self.alarms.values()):
                raised_by = alarm.series_id == values.series_id and values.first <= (alarm.raised or 0) <= values.last
                if raised_by and alarm.revocation is None and alarm.kind not in OF_NO_VALUE:
                    made = Revocation(datetime.now(UTC), "", DISPROVED)
                    self.alarms[alarm.id] = replace(alarm, revocation=made)
        for memory in changes.memories:
            key = memory.generation, memory.series_id
            if memory.values:
                self.memories[key] = memory
            else:
                self.memories.pop(key, None)
        self.events += [event for event in changes.events if event.alarm.id not in silent]

    async def open_alarms(self, partition: int) -> OpenAlarms:
        """See `OpenAlarmStore`."""
        return OpenAlarms(
            [
                replace(one)
                for one in self.alarms.values()
                if (one.open or one.lasting) and self._partition_of(one.series_id) == partition
            ],
            [one for one in self.memories.values() if self._partition_of(one.series_id) == partition],
        )

    async def cleared_alarms(self, series_id: int, since: int, until: int) -> Sequence[Alarm]:
        """See `OpenAlarmStore`."""
        return [
            replace(one)
            for one in self.alarms.values()
            if one.series_id == series_id and one.start <= until and one.cleared is not None and one.cleared >= since
            if one.state is State.CLEARED and one.cause is not Cause.READING_AMENDED
        ]

    async def get(self, id_: str) -> Alarm:
        """See `AlarmStore`."""
        if id_ not in self.alarms:
            raise AlarmNotFound(id_)
        return replace(self.alarms[id_])

    async def list_alarms(self, wanted: AlarmFilter, before: tuple[int, str] | None, limit: int) -> list[Alarm]:
        """See `AlarmStore`."""
        found = [alarm for alarm in self.alarms.values() if _wanted(alarm, wanted)]
        found.sort(key=lambda alarm: (alarm.start, alarm.id), reverse=True)
        return [replace(alarm) for alarm in found if before is None or (alarm.start, alarm.id) < before][:limit]

    async def acknowledge(self, id_: str, by: str, note: str) -> Alarm:
        """See `AlarmStore`."""
        alarm = await self.get(id_)
        if alarm.state is State.RAISED:
            alarm = replace(
                alarm, state=State.ACKNOWLEDGED, acknowledged=datetime.now(UTC), acknowledged_by=by, note=note
            )
            self.alarms[id_] = alarm
        elif alarm.state is not State.ACKNOWLEDGED:
            raise AlarmNotRaised(id_, alarm.state.name)
        return replace(alarm)

    async def close(self, id_: str, by: str, reason: str, audience: Audience | None) -> Alarm:
        """See `AlarmStore`."""
        alarm = await self.get(id_)
        if alarm.cause is Cause.CLOSED_BY_HAND:
            return alarm
        if alarm.raised is None or not alarm.open:
            raise AlarmNotRaised(id_, alarm.state.name, "closed")
        alarm = replace(
            alarm,
            state=State.CLEARED,
            cause=Cause.CLOSED_BY_HAND,
            closed_by=by,
            close_reason=reason,
            lasting=True,
            cleared=max(_now(), alarm.raised),
            update=max(_now(), alarm.update),
        )
        self.alarms[id_] = alarm
        self.events.append(AlarmEvent(replace(alarm), audience, None))
        return replace(alarm)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * SECOND)


def _wanted(alarm: Alarm, wanted: AlarmFilter) -> bool:
    asked: Sequence[tuple[str, str]] = (
        (wanted.building, alarm.key.building),
        (wanted.room, alarm.key.room),
        (wanted.sensor_type, alarm.key.sensor_type),
        (wanted.rule, alarm.rule),
    )
    return all(value in ("", own) for value, own in asked) and (not wanted.states or alarm.state in wanted.states)
