"""Where a partition stands in its stream, what is new to it, and what the broker has lost of it.

A position is the last message that has had its effect: its place in the stream, and when the broker stored it. The
place alone does not do: a stream that lost its end (a torn file, an older copy of it) gives places a second time, and
what is new would pass for something known. And a message says which one its publisher had acknowledged before it
(`Follows`): whoever has read in order and has not met that one knows that it is gone.
"""

from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

_PUBLISHERS = 32


class Position(NamedTuple):
    """The last message that has had its effect; places grow, and so do times (seconds since the Unix epoch)."""

    sequence: int = 0
    stored: float = 0.0


class Stream(NamedTuple):
    """The stream as it is now: `identity` tells it from one of the same name that was made before it, `last` is its
    last place."""

    identity: str
    last: int


class Bookmark(NamedTuple):
    """What is remembered of a partition: its position in the stream of that identity (empty: in none yet), and the
    place of the last message of each publisher that was met. A publisher that is not among them may have been met up
    to `floor`. `latest`: when the newest message that was met had been stored, in any stream."""

    stream: str = ""
    position: Position = Position()
    floor: int = 0
    latest: float = 0.0
    publishers: Mapping[str, int] = MappingProxyType({})


class Cause(StrEnum):
    """How it was noticed that something is lost."""

    GAP = "GAP"
    """A message names one before it that had been acknowledged, and has never come."""
    STREAM_CUT = "STREAM_CUT"
    """The stream ends before the position."""
    STREAM_REPLACED = "STREAM_REPLACED"
    """The stream is another one than that of the position."""


class Lost(NamedTuple):
    """What the broker had acknowledged and does not have any more: places of the stream from `first` to `last`, of one
    publisher. `last` is None where nobody can tell whether there was anything: all that is known is that what came
    after the position, if something did, is gone."""

    cause: Cause
    first: int
    last: int | None


class Follows(NamedTuple):
    """See `services.chassis.nats.envelope.Follows`."""

    publisher: str
    sequence: int


def resume(bookmark: Bookmark, stream: Stream) -> tuple[Bookmark, Lost | None]:
    """Where to go on in the stream as it is, and what is lost. Everything is new again in a stream that is not the one
    of before: readings that had their effect have none again, as their times are known."""
    reached = bookmark.position.sequence
    if bookmark.stream != stream.identity:
        cause = Cause.STREAM_REPLACED
    elif stream.last < reached:
        cause = Cause.STREAM_CUT
    else:
        return bookmark, None
    lost = Lost(cause, reached + 1, None) if reached else None
    return bookmark._replace(stream=stream.identity, position=Position()), lost


class Continuity:
    """Follows the messages of one partition, in the order of the stream, from a bookmark on."""

    def __init__(self, bookmark: Bookmark) -> None:
        self._stream, self._position, self._floor, self._latest, publishers = bookmark
        self._publishers = OrderedDict(publishers)

    @property
    def bookmark(self) -> Bookmark:
        """As it stands after what was met."""
        return Bookmark(self._stream, self._position, self._floor, self._latest, dict(self._publishers))

    def meet(self, message: Position, follows: Follows | None) -> tuple[bool, Lost | None]:
        """Whether the message has had no effect yet (then it is the position from now on), and what it shows to be lost
        before it."""
        if message.sequence <= self._position.sequence and message.stored <= self._position.stored:
            return False, None
        self._position = message
        # One that is met again, in an older copy of the stream, says nothing new.
        if follows is None or message.stored <= self._latest:
            return True, None
        self._latest = message.stored
        return True, self._missing(message.sequence, follows)

    def _missing(self, sequence: int, follows: Follows) -> Lost | None:
        # The one that a publisher names is its last one that was met, unless it is gone.
        reached = self._publishers.pop(follows.publisher, self._floor)
        self._publishers[follows.publisher] = sequence
        if len(self._publishers) > _PUBLISHERS:
            self._floor = max(self._floor, self._publishers.popitem(last=False)[1])
        return Lost(Cause.GAP, reached + 1, follows.sequence) if follows.sequence > reached else None
