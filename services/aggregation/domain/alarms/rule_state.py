"""The state of a rule for one series: the alarm that is open, if any, and what is remembered. A ledger notes what
becomes of alarms."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.aggregation.domain.alarms.alarm import (
    Alarm,
    AlarmChanges,
    AlarmEvent,
    Cause,
    Disproved,
    Memory,
    Revoked,
    State,
    alarm_id,
)
from services.aggregation.domain.alarms.rule import AlarmRule
from services.aggregation.domain.alarms.wording import sentence
from services.aggregation.domain.series import SeriesKey
from services.aggregation.domain.times import NEVER


class Ledger:
    """Collects what has to be stored; `take` empties it."""

    def __init__(self) -> None:
        self._touched: dict[str, Alarm] = {}
        self._unstored: set[str] = set()
        self._forgotten: list[str] = []
        self._memories: dict[tuple[int, int], Memory] = {}
        self._events: list[AlarmEvent] = []
        self._revoked: list[Revoked] = []
        self._disproved: list[Disproved] = []

    def opened(self, alarm: Alarm) -> None:
        """An alarm that is not stored yet."""
        self._unstored.add(alarm.id)
        self._touched[alarm.id] = alarm

    def touched(self, alarm: Alarm) -> None:
        """An alarm that has changed."""
        self._touched[alarm.id] = alarm

    def announced(self, alarm: Alarm, rule: AlarmRule | None, value: float | None, *, again: bool = False) -> None:
        """Something for everybody."""
        self._events.append(AlarmEvent(replace(alarm), None if rule is None else rule.audience, value, again))

    def forgotten(self, alarm: Alarm) -> None:
        """A pending alarm of which nothing came."""
        self._touched.pop(alarm.id, None)
        if alarm.id in self._unstored:
            self._unstored.discard(alarm.id)
        else:
            self._forgotten.append(alarm.id)

    def remembered(self, memory: Memory) -> None:
        """Replaces what was remembered."""
        self._memories[memory.generation, memory.series_id] = memory

    def revoked(self, alarm: Alarm, reading: int | None) -> None:
        """What was made of the reading makes it none; without a reading it is one after all."""
        self._revoked.append(Revoked(alarm.id, alarm.series_id, reading))

    def disproved(self, values: Disproved) -> None:
        """Alarms that one of these values has raised were none."""
        self._disproved.append(values)

    def take(self) -> AlarmChanges:
        """Everything since the last time."""
        images = [replace(alarm) for alarm in self._touched.values()]
        changes = AlarmChanges(
            new=[alarm for alarm in images if alarm.id in self._unstored],
            changed=[alarm for alarm in images if alarm.id not in self._unstored],
            forgotten=list(self._forgotten),
            memories=list(self._memories.values()),
            events=list(self._events),
            revoked=list(self._revoked),
            disproved=list(self._disproved),
        )
        for kept in (
            self._touched,
            self._unstored,
            self._forgotten,
            self._memories,
            self._events,
            self._revoked,
            self._disproved,
        ):
            kept.clear()
        return changes


def end(
    alarm: Alarm,
    at: int,
    value: float | None,
    rule: AlarmRule | None,
    ledger: Ledger,
    cause: Cause = Cause.CONDITION_ENDED,
) -> None:
    """Clears a raised alarm, never before it was raised; a pending one is forgotten. `rule` None: it is gone."""
    if alarm.raised is None:
        ledger.forgotten(alarm)
        return
    alarm.state, alarm.cleared = State.CLEARED, max(at, alarm.raised)
    alarm.update, alarm.cause = max(alarm.update, alarm.cleared), cause
    ledger.touched(alarm)
    ledger.announced(alarm, rule, value)


@dataclass(slots=True)
class RuleState:
    """See above. Times are event times in microseconds; values are as in the contract."""

    rule: AlarmRule
    series_id: int
    key: SeriesKey
    unit: str
    ledger: Ledger
    alarm: Alarm | None = None
    memory: list[float] = field(default_factory=list[float])
    place: int = -1
    """Local index of the series."""
    news: int = NEVER
    """What is older than this is history: nobody is told."""

    def begin(
        self,
        start: int,
        at: int,
        value: float | None,
        *,
        pending: bool = False,
        shown: float | None = None,
        peak: float | None = None,
        occasion: int = 0,
    ) -> Alarm:
        """Opens an alarm: raised at `at`, unless it is pending. `shown` is told in place of the value."""
        rule = self.rule
        alarm = Alarm(
            id=alarm_id(rule.generation, self.series_id, start, occasion),
            rule=rule.id,
            generation=rule.generation,
            kind=rule.kind,
            severity=rule.severity,
            series_id=self.series_id,
            key=self.key,
            unit=self.unit,
            state=State.PENDING,
            start=start,
            update=at,
            message=sentence(rule, self.key, self.unit, value if shown is None else shown, at),
            value=value,
            last_value=value,
            extreme=value,
            peak=peak,
        )
        self.alarm = alarm
        self.ledger.opened(alarm)
        if not pending:
            self.raise_(at, value, shown)
        return alarm

    def raise_(self, at: int, value: float | None, shown: float | None = None) -> None:
        """The condition is met for long enough."""
        alarm = self._open()
        alarm.state, alarm.raised, alarm.severity = State.RAISED, at, self.rule.severity
        alarm.value, alarm.historical = value, at < self.news
        alarm.message = sentence(self.rule, self.key, self.unit, value if shown is None else shown, at)
        self.ledger.touched(alarm)
        self.ledger.announced(alarm, self.rule, value)

    def see(self, at: int, value: float, farther: Callable[[float, float], bool]) -> None:
        """The condition is still met. `farther(value, extreme)`: whether the value is farther beyond the limit."""
        alarm = self._open()
        alarm.last_value, alarm.update = value, at
        if alarm.extreme is None or farther(value, alarm.extreme):
            alarm.extreme = value
        self.ledger.touched(alarm)
        if alarm.historical and alarm.raised is not None and at >= self.news:
            alarm.historical = False
            self.ledger.announced(alarm, self.rule, value, again=True)

    def clear(self, at: int, value: float | None) -> None:
        """The condition has ended."""
        end(self._open(), at, value, self.rule, self.ledger)
        self.alarm = None

    def forget(self) -> None:
        """A pending alarm comes to nothing."""
        self.ledger.forgotten(self._open())
        self.alarm = None

    def remember(self, values: list[float]) -> None:
        """What the rule needs to know of the series later on."""
        if values != self.memory:
            self.memory = values
            self.ledger.remembered(Memory(self.rule.generation, self.series_id, tuple(values)))

    def _open(self) -> Alarm:
        assert self.alarm is not None
        return self.alarm
