"""The series of a partition: what messages and the catalogue say of them, brought to the store and to the engine."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from services.aggregation.application.partition.partition_store import Emptied, PartitionStore, StoredSeries
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor, SeriesKey
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine

_REMEMBERED: Final = 10_000

Rebuild = Callable[[Sequence[StoredSeries]], Awaitable[None]]


class SeriesRegistry:
    """By local index, as in the engine. What is told of a series is stored before the readings that come with it: told
    again, it changes nothing."""

    def __init__(
        self,
        store: PartitionStore,
        partition: int,
        engine: Engine,
        describe: Callable[[bytes], Descriptor],
        clock: Callable[[], float],
        rebuild: Rebuild,
    ) -> None:
        """`rebuild` makes the states anew of series that are outdated."""
        self._store = store
        self._partition = partition
        self._engine = engine
        self._describe = describe
        self._clock = clock
        self._rebuild = rebuild
        self.descriptors: list[Descriptor] = []
        self.ids = np.zeros(0, np.int64)
        """As they are stored."""
        self._places: dict[bytes, int] = {}
        self._by_key: dict[SeriesKey, int] = {}
        self._by_device: dict[str, list[int]] = {}
        self._warned: set[bytes] = set()
        self._new: list[int] = []
        self.left: dict[int, int] = {}
        """Series whose device has left their place, and when."""
        self._news: dict[tuple[str, str], Descriptor] = {}

    def begin(self, descriptor: Descriptor) -> None:
        """The engine has been given its next series."""
        self.descriptors.append(descriptor)
        self.ids = np.array(self._engine.states.ids, np.int64)

    def add(self, series: Sequence[StoredSeries], now: float) -> None:
        """Takes up what is stored."""
        for stored in series:
            self._add(stored, now)
        self.ids = np.array(self._engine.states.ids, np.int64)

    def _add(self, stored: StoredSeries, now: float) -> int:
        states, descriptor = self._engine.states, stored.descriptor
        row = states.restore(stored.state) if stored.state is not None else None
        if row is None:
            row = states.blank(int(descriptor.kind), descriptor.interval, descriptor.counting)
        at = states.add(stored.id, row, now)
        self.descriptors.append(descriptor)
        self._by_device.setdefault(descriptor.key.device, []).append(at)
        if stored.left is not None:
            self.left[at] = stored.left
        self._take(at, descriptor)
        return at

    def _take(self, at: int, descriptor: Descriptor) -> None:
        self.descriptors[at] = descriptor
        self._engine.states.describe(at, int(descriptor.kind), descriptor.interval, descriptor.counting)

    async def batch(self, messages: Sequence[Message], emptied: Sequence[Emptied]) -> Readings:
        """The readings of the messages; every series of them is known then."""
        await self._know(messages, emptied)
        columns = [
            Readings(
                np.array([self._places[raw] for raw in message.descriptors], np.int64)[message.index],
                message.time,
                message.value,
            )
            for message in messages
        ]
        if emptied:
            places = [self._engine.states.index[self._by_key[entry.descriptor.key]] for entry in emptied]
            times = [entry.time for entry in emptied]
            # Ahead of the batch: the priority lane wins against a level 0 of the same instant in the bulk.
            columns.insert(0, Readings(np.array(places, np.int64), np.array(times, np.int64), np.zeros(len(emptied))))
        if len(columns) == 1:
            return columns[0]
        return Readings(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))

    async def _know(self, messages: Sequence[Message], emptied: Sequence[Emptied]) -> None:
        raws = {raw for message in messages for raw in message.descriptors if raw not in self._places}
        warned = {message.descriptors[place] for message in messages for place in message.cautious} - self._warned
        parsed = {raw: self._describe(raw) for raw in raws | warned}
        wanted: dict[SeriesKey, Descriptor] = {}
        for raw, descriptor in parsed.items():
            if raw in warned:
                descriptor = descriptor._replace(counting=descriptor.counting._replace(cautious=True))
            known = wanted.get(descriptor.key, descriptor)
            wanted[descriptor.key] = known.updated(descriptor)
        for entry in emptied:
            known = wanted.get(entry.descriptor.key, entry.descriptor)
            wanted[entry.descriptor.key] = entry.descriptor.updated(known)
        self._by_key = {}
        if not wanted:
            return
        order = sorted(wanted)
        descriptors = [wanted[key] for key in order]
        found = await self._store.register(self._partition, descriptors)
        if outdated := [stored for stored in found if stored.outdated is not None]:
            await self._rebuild(outdated)
            found = await self._store.register(self._partition, descriptors)
        for key, stored in zip(order, found, strict=True):
            self._by_key[key] = stored.id
            at = self._engine.states.index.get(stored.id)
            if at is None:
                self._new.append(self._add(stored, self._clock()))
            else:
                self._take(at, stored.descriptor)
        if len(self._places) > 4 * len(self.descriptors) + 1024:
            self._places.clear()  # descriptions that have changed over and over
            self._warned.clear()
            await self._know(messages, emptied)
            return
        for raw, descriptor in parsed.items():
            self._places[raw] = self._engine.states.index[self._by_key[descriptor.key]]
        self._warned |= warned
        self.ids = np.array(self._engine.states.ids, np.int64)

    async def change(self, messages: Sequence[Message]) -> list[int]:
        """What the messages say of rules that have changed in the catalogue, brought to the series that it concerns;
        returns those of which others see it by their state only (the interval that is expected)."""
        if told := [one for message in messages for one in message.sensor_types]:
            await self._store.learn_sensor_types(told)
        moved: dict[int, Descriptor] = {}

        def hear(at: int, news: Descriptor) -> None:
            known = moved.get(at, self.descriptors[at])
            if (new := known.with_rules(news)) != known:
                moved[at] = new

        for news in (news for message in messages for news in message.changed):
            device = news.key.device
            self._remember(news)
            for at in self._by_device.get(device, ()) if device else range(len(self.descriptors)):
                hear(at, news)
        new, self._new = self._new, []
        for at in new:
            # Its first reading may have been accepted by whoever had not heard of it yet.
            *_, sensor_type, device = self.descriptors[at].key
            heard = [self._news[key] for key in {(sensor_type, ""), (sensor_type, device)} if key in self._news]
            for news in sorted(heard, key=lambda news: news.revision):
                hear(at, news)
        if not moved:
            return []
        await self._store.describe(list(moved.values()))
        rows = self._engine.states.rows
        seen: list[int] = []
        for at, descriptor in moved.items():
            before = int(rows["interval"][at]), int(rows["max_gap"][at])
            self._take(at, descriptor)
            if before != (rows["interval"][at], rows["max_gap"][at]) and rows["settled_time"][at] != NEVER:
                seen.append(at)
        return seen

    async def move(self, messages: Sequence[Message]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What the messages say of devices that stand elsewhere now, brought to the series: (local index, when) of
        those whose place was left, and those to which a device is back."""
        left: dict[int, int] = {}
        back: dict[int, int] = {}
        for move in (move for message in messages for move in message.moved):
            for at in self._by_device.get(move.device, ()):
                place = self.descriptors[at].key[:2]
                if place == move.origin:
                    back.pop(at, None)
                    left[at] = move.time
                elif place == move.to:
                    left.pop(at, None)
                    back[at] = move.time
        if left or back:
            await self._store.leave(
                [(int(self.ids[at]), time) for at, time in left.items()], [int(self.ids[at]) for at in back]
            )
        return list(left.items()), list(back.items())

    def _remember(self, news: Descriptor) -> None:
        key = news.key.sensor_type, news.key.device
        known = self._news.pop(key, news)
        self._news[key] = news if news.revision >= known.revision else known
        if len(self._news) > _REMEMBERED:
            del self._news[next(iter(self._news))]  # the oldest: everybody has heard of it
