"""The rate limit: at most `limit` sent in any `period`, for each user.

What has been sent counts for a period from its completion; what is under way counts until it has ended, and not at all
if it failed. Since a completion is never before the real sending, no window of `period` ever holds more than `limit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LOOK_AGAIN = timedelta(seconds=1)
"""How soon to look again when the slots are taken by what is still under way."""
AHEAD = timedelta(hours=1)
"""What is urgent is due as if it had been accepted so long ago: before all that was since."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What is taken of a user's limit."""

    completed: tuple[datetime, ...]
    under_way: int

    @property
    def taken(self) -> int:
        """How many slots are taken now."""
        return len(self.completed) + self.under_way


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` in `period`."""

    limit: int = 10
    period: timedelta = timedelta(minutes=1)

    def free(self, taken: int) -> int:
        """How many may go now, with `taken` slots taken (see `Slots`)."""
        return max(self.limit - taken, 0)

    def frees_at(self, slots: Slots, now: datetime) -> datetime:
        """When the next slot frees as far as is known: what is under way counts for a period if it is sent, as most of
        it is."""
        frees = sorted([at + self.period for at in slots.completed] + [now + self.period] * slots.under_way)
        over = slots.taken - self.limit
        return frees[over] if over >= 0 else now

    def turns(
        self, completed: Sequence[datetime], under_way: int, now: datetime, *, count: int, ahead: int = 0
    ) -> list[datetime]:
        """When `count` that must wait get their turns, with `ahead` others waiting before them.

        `completed` are the completion times that still count, in any order. The n-th waiting one goes when the n-th
        slot frees; beyond `limit` a period later each round.
        """
        frees = sorted([at + self.period for at in completed] + [now + LOOK_AGAIN] * under_way)[-self.limit :]
        while len(frees) < self.limit:
            frees.insert(0, now)
        return [
            frees[place % self.limit] + self.period * (place // self.limit) for place in range(ahead, ahead + count)
        ]
