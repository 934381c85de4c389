"""Where a partition stands in its stream, what is new to it, and what the broker has lost of it.

A position is the last message that has had its effect: its place in the stream, and when the broker stored it. The
place alone does not do: a stream that lost its end (a torn file, an older copy of it) gives places a second time, and
what is new would pass for something known. And a message says which one its publisher had acknowledged before it
(`Follows`): whoever has read in order and has not met that one knows that it is gone.
"""

from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

_PUBLISHERS = 256


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
    """What is remembered of a partition: its position in the stream of that identity (empty: in none yet)."""

    stream: str
    position: Position


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


def resume(bookmark: Bookmark, stream: Stream) -> tuple[Position, Lost | None]:
    """Where to go on in the stream as it is, and what is lost. Everything is new again in a stream that is not the one
    of before: readings that had their effect have none again, as their times are known."""
    position = bookmark.position
    if bookmark.stream != stream.identity:
        cause = Cause.STREAM_REPLACED
    elif stream.last < position.sequence:
        cause = Cause.STREAM_CUT
    else:
        return position, None
    lost = Lost(cause, position.sequence + 1, None) if position.sequence else None
    return Position(), lost


class Continuity:
    """Follows the messages of one partition, in the order of the stream."""

    def __init__(self, position: Position, before: int) -> None:
        """`before`: the place up to which messages had their effect when the work began; beyond `position` where the
        stream is not the one of before."""
        self._position = position
        self._highest = max(position.sequence, before)
        self._publishers: OrderedDict[str, int] = OrderedDict()
        """Place of the last message of each publisher that was met."""

    def meet(self, message: Position, follows: Follows | None) -> tuple[bool, Lost | None]:
        """Whether the message has had no effect yet (then it is the position from now on), and what it shows to be lost
        before it."""
        if message.sequence <= self._position.sequence and message.stored <= self._position.stored:
            return False, None
        lost = None if follows is None else self._missing(message.sequence, follows)
        self._position = message
        self._highest = max(self._highest, message.sequence)
        return True, lost

    def _missing(self, sequence: int, follows: Follows) -> Lost | None:
        # Of a publisher that was not met yet, what it names must lie before what has had its effect.
        reached = self._publishers.get(follows.publisher, self._highest)
        self._publishers[follows.publisher] = sequence
        self._publishers.move_to_end(follows.publisher)
        while len(self._publishers) > _PUBLISHERS:
            self._publishers.popitem(last=False)
        return Lost(Cause.GAP, reached + 1, follows.sequence) if follows.sequence > reached else None
