"""A broker that does whatever JetStream may do to one partition, and worse: a model for property tests.

It keeps a stream with numbers and times, and one durable consumer with numbered deliveries. Whoever drives it lets it
lose what is on its way, deliver again, forget acknowledgements, hand messages to somebody else, lose the end of its
stream, come back from an older copy, or begin anew. `ledger` is what it had acknowledged to publishers.
"""

import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from nats.js.errors import NotFoundError

from services.aggregation.adapters.nats.reading_lane import JetStreamLane, LaneOptions
from services.aggregation.domain.partition.continuity import Stream
from services.chassis.errors import Unavailable
from services.chassis.mesh_names import MeshNames
from services.chassis.nats.batch_reader import BatchOptions, BatchReader
from services.chassis.nats.envelope import Follows
from services.chassis.nats.pull_source import RenewalDue

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """A message of the stream; `key` names what it holds for ever, whatever number it has."""

    key: int
    sequence: int
    stored: datetime
    payload: bytes
    headers: dict[str, str]


@dataclass
class Publisher:
    """Publishes as ingestion does."""

    name: str
    last: int = 0
    noticed: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Numbers that it was given a second time, and says so."""


@dataclass
class Delivered:
    """A message as nats-py hands it out; settled by its broker."""

    broker: "BrokerModel"
    life: int
    entry: Entry
    number: int
    attempt: int

    def __post_init__(self) -> None:
        self.subject, self.data, self.headers = "tocsin.readings.v1.0", self.entry.payload, self.entry.headers
        self.metadata = SimpleNamespace(
            stream="READINGS",
            sequence=SimpleNamespace(stream=self.entry.sequence, consumer=self.number),
            num_delivered=self.attempt,
            timestamp=self.entry.stored,
        )

    async def ack(self) -> None:
        self.broker.settle(self.entry)

    async def ack_sync(self, timeout: float) -> None:
        self.broker.settle(self.entry)

    async def in_progress(self) -> None:
        """Times do not run by themselves here."""

    async def term(self) -> None:
        self.broker.settle(self.entry)


@dataclass
class BrokerModel:
    """See the module."""

    identity: str = "made first"
    entries: list[Entry] = field(default_factory=list[Entry])
    """In the stream and not acknowledged by the consumer."""
    last: int = 0
    ledger: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """What was acknowledged to publishers: key -> (publisher, number in the stream)."""
    gone: set[int] = field(default_factory=set[int])
    """Keys that the broker has lost without their having been acknowledged by the consumer."""
    up: bool = True
    losing_acks: bool = False

    def __post_init__(self) -> None:
        self._keys = itertools.count()
        self._time = itertools.count()
        self._life = 0
        self._number = 0
        self._attempts: dict[int, int] = {}
        self._due: list[Entry] = []
        """What the consumer has still to deliver, repeats among them, in the order in which it will."""
        self.wire: list[Delivered] = []
        """What was sent and has not been taken."""
        self.silent = False
        self._copy: tuple[list[Entry], int, str] = ([], 0, self.identity)

    def publish(self, publisher: Publisher, payload: bytes) -> int:
        """Stores and acknowledges; the key of the message."""
        self.last += 1
        stored = _EPOCH + timedelta(milliseconds=next(self._time))
        headers = Follows(publisher.name, publisher.last).header()
        entry = Entry(next(self._keys), self.last, stored, payload, headers)
        self.entries.append(entry)
        self._due.append(entry)
        if self.last <= publisher.last:
            publisher.noticed.append((self.last, publisher.last))
        publisher.last = self.last
        self.ledger[entry.key] = (publisher.name, self.last)
        return entry.key

    def settle(self, entry: Entry) -> None:
        """An acknowledgement has arrived, unless it gets lost. It counts for whoever has the number now, if that was
        delivered."""
        if not self.up or self.losing_acks or entry.sequence not in self._attempts:
            return
        self.entries = [one for one in self.entries if one.sequence != entry.sequence]
        self._due = [one for one in self._due if one.sequence != entry.sequence]

    def recreate(self) -> None:
        """The consumer is deleted and made anew: everything unacknowledged comes from the beginning."""
        self._life += 1
        self._number = 0
        self._attempts.clear()
        self._due = list(self.entries)
        self.wire.clear()
        self.silent = False

    def send(self, count: int) -> None:
        """The consumer delivers to the open pull."""
        while self._due and len(self.wire) < count:
            self.wire.append(self._deliver())

    def _deliver(self) -> Delivered:
        entry = self._due.pop(0)
        self._number += 1
        attempt = self._attempts[entry.sequence] = self._attempts.get(entry.sequence, 0) + 1
        return Delivered(self, self._life, entry, self._number, attempt)

    def lose_wire(self) -> None:
        """What is on its way is lost with its pull; the next one brings what comes after it."""
        self.wire.clear()
        self.silent = True

    def steal(self) -> None:
        """Somebody else pulls a message of the consumer."""
        if self._due:
            self._deliver()

    def expire(self, first: bool) -> None:
        """Acknowledgement times are over: what was delivered is delivered again, before or after what is new."""
        due = {entry.sequence for entry in self._due}
        again = [entry for entry in self.entries if entry.sequence in self._attempts and entry.sequence not in due]
        self._due = [*again, *self._due] if first else [*self._due, *again]

    def copy(self) -> None:
        """Somebody copies its files."""
        self._copy = (list(self.entries), self.last, self.identity)

    def restore(self) -> None:
        """It comes back from the copy."""
        kept, last, self.identity = self._copy
        self._come_back(list(kept), last)

    def cut(self, lost: int) -> None:
        """A power cut takes the last messages of the stream."""
        last = max(self.last - lost, 0)
        self._come_back([entry for entry in self.entries if entry.sequence <= last], last)

    def lose_middle(self, place: int) -> None:
        """One message in the middle cannot be read any more."""
        if self.entries:
            lost = self.entries[place % len(self.entries)]
            self._come_back([entry for entry in self.entries if entry is not lost], self.last)

    def replace(self) -> None:
        """The stream is deleted and made anew."""
        self.identity = f"made after {self.last}"
        self._come_back([], 0)

    def _come_back(self, entries: list[Entry], last: int) -> None:
        self.gone |= {entry.key for entry in self.entries} - {entry.key for entry in entries}
        self.entries, self.last = entries, last
        self.recreate()
        self.silent = True


class ModelSource:
    """In place of `PullSource`."""

    def __init__(self, broker: BrokerModel) -> None:
        self._broker = broker
        self._life = -1
        self.deleted = False

    @property
    def lost(self) -> bool:
        return False

    async def open(self, *, recreate: bool) -> None:
        _reach(self._broker)
        assert recreate
        self._broker.recreate()

    async def next(self, limit: int, timeout: timedelta) -> list[Any]:
        _reach(self._broker)
        if self._broker.silent:
            raise RenewalDue("silence")
        self._broker.send(limit)
        taken, self._broker.wire = self._broker.wire[:limit], self._broker.wire[limit:]
        return taken

    async def close(self) -> list[Any]:
        return []


def _reach(broker: BrokerModel) -> None:
    if not broker.up:
        raise TimeoutError


class ModelLanes:
    """Opens lanes on the broker: the reader and the lane of the service on the model of the source."""

    def __init__(self, broker: BrokerModel) -> None:
        self._broker = broker
        self.dead_letters: list[Any] = []

        async def keep(letter: Any) -> None:
            self.dead_letters.append(letter)

        self.publisher: Any = SimpleNamespace(publish_encoded=keep)

    async def stream(self) -> Stream:
        """As `stream_of_readings`."""
        try:
            _reach(self._broker)
        except TimeoutError as error:
            raise Unavailable("away") from error
        return Stream(self._broker.identity, self._broker.last)

    @asynccontextmanager
    async def open(self, partition: int) -> AsyncGenerator[JetStreamLane]:
        """As `open_lane`."""

        async def stream_info(_: str) -> Any:
            _reach(self._broker)
            return SimpleNamespace(state=SimpleNamespace(last_seq=self._broker.last))

        async def get_last_msg(_stream: str, _subject: str) -> Any:
            _reach(self._broker)
            raise NotFoundError  # nobody has said that it accepts readings

        js = SimpleNamespace(stream_info=stream_info, get_last_msg=get_last_msg)
        connection: Any = SimpleNamespace(js=js, names=MeshNames())
        options = BatchOptions(service="tests", name="p", stream="READINGS", subject="s", max_unsettled=8)
        reader = BatchReader(connection, options, self.publisher)
        source: Any = ModelSource(self._broker)
        reader._source = source  # pyright: ignore[reportPrivateUsage]
        await reader.start()
        try:
            yield _Polled(connection, reader, LaneOptions(max_messages=8, max_wait=timedelta(0)))
        finally:
            await reader.close()


class _Polled(JetStreamLane):
    """Gives everybody else a turn before each fetch."""

    async def fetch(self) -> Sequence[Any]:
        import asyncio

        await asyncio.sleep(0)
        return await super().fetch()
