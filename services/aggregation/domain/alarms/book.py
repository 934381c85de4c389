"""What is known of the alarms of one partition: rules, open alarms, what is remembered, how far all have come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from services.aggregation.domain.alarms.alarm import Alarm, Cause, Memory, State
from services.aggregation.domain.alarms.presence import Presence
from services.aggregation.domain.alarms.rule import AlarmRule, FlatLine, Threshold, stands
from services.aggregation.domain.alarms.rule_index import RuleIndex
from services.aggregation.domain.alarms.rule_state import Ledger, RuleState, end
from services.aggregation.domain.alarms.selection import LastReadings, last_evaluated
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.times import HOUR, MINUTE, NEVER
from services.aggregation.domain.windows.engine import Engine

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[int, int]
"""Generation of the rule, local index of the series."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorOptions:
    """`news_age`: what is older when it is accepted tells nobody. `silence_grace`: how long, at the most, a series is
    waited for after a time in which no readings could be taken; three of its intervals, where these are longer."""

    silence_grace: int = 5 * MINUTE
    news_age: int = HOUR


DEFAULTS: Final = EvaluatorOptions()


class AlarmBook:
    """Of the series of `engine`, whose descriptors are `descriptors` (both grow)."""

    def __init__(self, engine: Engine, descriptors: Sequence[Descriptor], options: EvaluatorOptions) -> None:
        self.engine = engine
        self.options = options
        self.ledger = Ledger()
        self.index = RuleIndex(())
        self.presence = Presence()
        self.alarms: dict[Key, Alarm] = {}
        self.memories: dict[Key, list[float]] = {}
        self.pending: dict[Key, int] = {}
        """Alarms whose value stands until the next one, and when it has met its duration."""
        self.watched = np.zeros(64, bool)
        self.last = LastReadings(np.full(64, NEVER), np.zeros(64))
        self.heard: Ints = np.full(64, NEVER)
        """The newest event time of each series, whether or not it was evaluated."""
        self.size = 0
        self.now = NEVER
        self._descriptors = descriptors

    def restore(self, alarms: Iterable[Alarm], memories: Iterable[Memory]) -> None:
        """Brings back what is stored of open alarms."""
        index = self.engine.states.index
        alarms = list(alarms)
        for one in alarms:
            if one.lasting:
                one.state = State.RAISED  # to its owner: until the condition ends
        self.alarms = {(one.generation, index[one.series_id]): one for one in alarms if one.series_id in index}
        self.memories = {
            (one.generation, index[one.series_id]): list(one.values) for one in memories if one.series_id in index
        }

    def plan(self, rules: Iterable[AlarmRule], now: int) -> None:
        """Goes by these rules from now on. Alarms of rules that are gone, disabled or changed in what they evaluate are
        cleared."""
        before = self.index.by_generation
        self.index = RuleIndex(rules)
        self.size = 0
        self.last = last_evaluated(self.engine)
        self.heard = self.engine.states.rows["newest"].copy()
        self.watched = np.zeros(len(self.heard), bool)
        self.now = now
        self.sync()
        for key, alarm in list(self.alarms.items()):
            if key[0] not in self.index.by_generation:
                end(alarm, now, None, before.get(key[0]), self.ledger, Cause.RULE_CHANGED)
                del self.alarms[key]
        for key in list(self.memories):
            if key[0] not in self.index.by_generation:
                del self.memories[key]
        self.pending.clear()
        for key in {*self.alarms, *self.memories}:
            self.settle(key)

    def sync(self) -> None:
        """Takes in the series that have come since the last time."""
        known = len(self.engine.states)
        if known > len(self.watched):
            more = max(known, 2 * len(self.watched)) - len(self.watched)
            self.watched = np.concatenate([self.watched, np.zeros(more, bool)])
            time, value = self.last
            unknown = np.full(more, NEVER)
            self.last = LastReadings(np.concatenate([time, unknown]), np.concatenate([value, np.zeros(more)]))
            self.heard = np.concatenate([self.heard, unknown])
        states = self.engine.states.rows
        for place in range(self.size, known):
            self.watched[place] = self.index.add(place, self._descriptors[place].key, self._descriptors[place].kind)
            if self.watched[place] and self.heard[place] == NEVER:
                self.heard[place] = states["newest"][place]
                self.last.time[place], self.last.value[place] = states["newest"][place], states["settled"][place]
        self.size = known

    def moved(self, left: Iterable[tuple[int, int]], back: Iterable[tuple[int, int]] = ()) -> None:
        """Devices have left the places of these series (local index, when); others are `back`. What has been left is
        not evaluated until it sends again."""
        for place, at in back:
            self.presence.come_back(place, at)
        newest = self.engine.states.rows["newest"]
        for place, at in left:
            if not self.presence.leave(place, at, int(newest[place])):
                continue
            for key in [key for key in self.alarms if key[1] == place]:
                rule = self.index.by_generation.get(key[0])
                end(self.alarms.pop(key), at, None, rule, self.ledger, Cause.DEVICE_LEFT)
                if rule is not None:
                    self.settle(key)

    def state(self, place: int, rule: AlarmRule, *, anyhow: bool = False) -> RuleState:
        """Of a rule and a series. `anyhow`: that the value is old is no reason to tell nobody, if the rule is not."""
        key, descriptor = (rule.generation, place), self._descriptors[place]
        news = NEVER if self.now == NEVER else self.now - self.options.news_age
        if anyhow and rule.updated is not None and _microseconds(rule.updated) >= news:
            news = NEVER
        return RuleState(
            rule,
            self.engine.states.ids[place],
            descriptor.key,
            descriptor.unit,
            self.ledger,
            self.alarms.get(key),
            self.memories.get(key, []),
            place,
            news,
        )

    def put_back(self, state: RuleState) -> None:
        """After it was evaluated."""
        key = state.rule.generation, state.place
        if state.alarm is not None:
            self.alarms[key] = state.alarm
        else:
            self.alarms.pop(key, None)
        if state.memory:
            self.memories[key] = state.memory
        else:
            self.memories.pop(key, None)
        self.settle(key)

    def settle(self, key: Key) -> None:
        """Readings of a series with an open alarm, or in a flat line, are of interest whatever they are."""
        rule = self.index.by_generation[key[0]]
        alarm = self.alarms.get(key)
        if alarm is not None and alarm.raised is None and self.stands(key[1], rule):
            duration = rule.condition.min_duration if isinstance(rule.condition, Threshold) else 0
            self.pending[key] = alarm.start + duration
        else:
            self.pending.pop(key, None)
        remembers = isinstance(rule.condition, FlatLine) and key in self.memories
        self.index.activate(*key, active=key in self.alarms or remembers)

    def stands(self, place: int, rule: AlarmRule) -> bool:
        """Whether a value stands until the next one."""
        return stands(rule.condition, self._descriptors[place].kind)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
