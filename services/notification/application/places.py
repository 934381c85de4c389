"""Places: how many attempts may run in a lane, and whose. A receiver that hangs keeps nobody from the places of others.

In a lane of many receivers each has a share. One that has lately answered is proven. The others, new ones and those
whose last attempt had no answer, have one place each, and a quarter of the lane together. An attempt that takes longer
than `SLOW_AFTER` gives its place back, for it only waits: so a lane that is full of receivers that begin to hang is
free again soon. How many such wait is bounded, too."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.notification.domain.lane import OF_MANY_RECEIVERS, Lane

SLOW_AFTER = 2.0
"""Seconds after which an attempt is slow."""
_SLOW = 4
"""Slow attempts beside the others, at most: in multiples of a lane's places."""
_PROVEN = 1000
"""Receivers that are known to answer, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What may be claimed in a lane: at most `places`, of them `unproven` for receivers that are not known to answer.
    `known` has how many each receiver may have, and whether it is proven; `others` may have, and they
    are not."""

    lane: Lane
    places: int
    unproven: int = 0
    known: Mapping[str, tuple[int, bool]] = field(default_factory=dict[str, tuple[int, bool]])
    others: int = 1

    @property
    def held_back(self) -> bool:
        """Whether somebody may have to wait although there are places."""
        return self.lane in OF_MANY_RECEIVERS and (self.unproven <= 0 or any(n <= 0 for n, _ in self.known.values()))


def open_room(lane: Lane, places: int) -> Room:
    """Room for `places`, whoever receives them."""
    return Room(lane=lane, places=places, unproven=places, others=places)


class Tally:
    """Takes the places of a room one by one."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._left = room.places
        self._unproven = room.unproven
        self._taken: Counter[str] = Counter()

    def take(self, receiver: str) -> bool:
        """Whether one more may be claimed for the receiver; it is counted then."""
        share, proven = self._room.known.get(receiver, (self._room.others, False))
        if self._left <= 0 or self._taken[receiver] >= share or not (proven or self._unproven > 0):
            return False
        self._left -= 1
        self._unproven -= not proven
        self._taken[receiver] += 1
        return True


@dataclass(frozen=True, slots=True)
class _Attempt:
    receiver: str
    proven: bool
    began: float


class LanePlaces:
    """The places of one lane in this process."""

    def __init__(self, lane: Lane, concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lane = lane
        self.concurrency = concurrency
        self._clock = clock
        self._shared = lane in OF_MANY_RECEIVERS
        self._share = max(concurrency // 4, 1)
        self._quick: dict[int, _Attempt] = {}
        """In the order in which they began."""
        self._slow: dict[int, _Attempt] = {}
        self._busy: Counter[str] = Counter()
        self._unproven = 0
        self._proven: OrderedDict[str, None] = OrderedDict()
        self._count = 0

    def begin(self, receiver: str) -> int:
        """An attempt begins; the answer names it."""
        attempt = _Attempt(receiver, receiver in self._proven, self._clock())
        self._count += 1
        self._quick[self._count] = attempt
        self._busy[receiver] += 1
        self._unproven += not attempt.proven
        return self._count

    def end(self, name: int, *, answered: bool | None = None) -> None:
        """It has ended; whether the receiver said anything is not known (None) where it was broken off."""
        attempt = self._slow.pop(name, None) or self._leave(name)
        self._busy[attempt.receiver] -= 1
        if not self._busy[attempt.receiver]:
            del self._busy[attempt.receiver]
        if answered is not None and self._shared:
            self._proven.pop(attempt.receiver, None)
            if answered:
                self._proven[attempt.receiver] = None
                if len(self._proven) > _PROVEN:
                    self._proven.popitem(last=False)

    def free(self) -> int:
        """How many attempts may begin."""
        if self._shared:
            self._age()
        return self.concurrency - len(self._quick)

    def room(self, places: int) -> Room:
        """The room for up to `places` more."""
        places = min(self.free(), places)
        if not self._shared:
            return open_room(self.lane, places)
        known = {receiver: (self._share - self._busy[receiver], True) for receiver in self._proven}
        known |= {receiver: (1 - count, False) for receiver, count in self._busy.items() if receiver not in known}
        return Room(lane=self.lane, places=places, unproven=self._share - self._unproven, known=known)

    def _age(self) -> None:
        old = self._clock() - SLOW_AFTER
        for name, attempt in list(self._quick.items()):
            if attempt.began > old or len(self._slow) >= _SLOW * self.concurrency:
                return
            self._leave(name)
            self._slow[name] = attempt
            self._proven.pop(attempt.receiver, None)

    def _leave(self, name: int) -> _Attempt:
        attempt = self._quick.pop(name)
        self._unproven -= not attempt.proven
        return attempt
