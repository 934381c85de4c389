"""The port of a partition's readings: messages in the order of the stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.aggregation.domain.columns import Floats, Ints
from services.aggregation.domain.partition.continuity import Follows, Position
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor, DeviceMove


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a partition, decoded. `handle` is what the lane needs to acknowledge it."""

    sequence: int
    accepted: float
    """When it became durable (seconds since the Unix epoch)."""
    descriptors: Sequence[bytes]
    """Serialized series descriptors; equal bytes mean equal descriptors."""
    index: Ints
    time: Ints
    value: Floats
    handle: Any
    cautious: frozenset[int] = frozenset()
    """Places of descriptors whose device is known to send decreasing values now and then."""
    changed: Sequence[Descriptor] = ()
    """Rules that have changed in the catalogue (see `Descriptor.with_rules`)."""
    moved: Sequence[DeviceMove] = ()
    """Devices that stand elsewhere now, or are gone."""
    sensor_types: Sequence[SensorTypeInfo] = ()
    """What the catalogue says of them."""
    follows: Follows | None = None
    """The message that its publisher had acknowledged before it, if it says so."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.sequence, self.accepted)


class ReadingLane(Protocol):
    """Messages of one partition in the order of the stream."""

    async def fetch(self) -> Sequence[Message]:
        """The next messages, none after a while. What is not acknowledged may come again, and then all of it does, in
        order, before anything newer. A message that cannot be read is put aside, and comes without readings."""
        ...

    async def done(self, messages: Sequence[Message]) -> None:
        """Their effect is committed."""
        ...

    async def put_aside(self, message: Message, error: Exception) -> Message:
        """Moves a message that cannot be processed to the dead letters; the message without its readings. Raises
        Unavailable."""
        ...

    def describe(self, descriptor: bytes) -> Descriptor:
        """Parses a descriptor."""
        ...

    async def drained(self) -> bool | None:
        """Whether everything that had been accepted when this was called has been fetched and its effect committed;
        None when nobody can tell, since the broker cannot be reached."""
        ...

    async def accepting(self) -> bool | None:
        """Whether readings could come and be accepted until just now: who accepts them says so all the time, and says
        whether the edge, if there is one, stands. True where nobody has ever said so; None when nobody can tell, since
        the broker cannot be reached."""
        ...
