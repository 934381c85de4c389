"""`DeadLetterStore` and `AlertLog` in memory: the same promises as the ones on PostgreSQL."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.notification.domain.dead_letter import (
    LAST_TRY,
    DeadLetter,
    LetterAlert,
    LetterFilter,
    LetterState,
    ReasonClass,
)
from services.notification.domain.errors import DeadLetterNotFound

_LINKED = timedelta(days=7)
_GATHER = timedelta(seconds=5)
_LEASE = timedelta(minutes=1)


class InMemoryDeadLetters:
    """Dead letters by number; `returned` are those that were sent back, in their order."""

    def __init__(self, now: Callable[[], datetime], last_try_after: timedelta = timedelta(hours=1)) -> None:
        self.returned: list[DeadLetter] = []
        self._now = now
        self._last_try_after = last_try_after
        self._letters: dict[int, DeadLetter] = {}
        self._kept_at: dict[int, datetime] = {}
        self._told_up_to = 0
        self._told: frozenset[str] = frozenset()
        self._not_before: datetime | None = None
        self._leased_until: datetime | None = None

    async def keep(self, letters: Sequence[DeadLetter]) -> int:
        """See DeadLetterStore."""
        known = {one.name for one in self._letters.values()}
        now, kept = self._now(), 0
        for letter in letters:
            if letter.name in known:
                continue
            known.add(letter.name)
            kept += 1
            number = len(self._letters) + 1
            if self._tried(letter.about, now):
                made = replace(letter, state=LetterState.ARCHIVED, closed_at=now, closed_by=LAST_TRY)
            else:
                made = replace(letter, last_try_at=letter.last_try(now, self._last_try_after))
            self._letters[number] = replace(made, number=number)
            self._kept_at[number] = now
        return kept

    def _tried(self, about: str, now: datetime) -> bool:
        closed = [one for one in self._letters.values() if one.about == about and one.closed_at is not None]
        latest = max(closed, key=lambda one: one.closed_at or now, default=None)
        return (
            latest is not None
            and latest.closed_at is not None
            and (latest.state, latest.closed_by) == (LetterState.RETRIED, LAST_TRY)
            and latest.closed_at > now - _LINKED
        )

    async def page(self, wanted: LetterFilter, *, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetterStore."""
        newest_first = sorted(self._letters.values(), key=lambda letter: -letter.number)
        found = (one for one in newest_first if wanted.matches(one) and (before is None or one.number < before))
        return [replace(one, payload=b"") for one in found][:limit]

    async def get(self, number: int) -> DeadLetter:
        """See DeadLetterStore."""
        if number not in self._letters:
            raise DeadLetterNotFound(metadata={"id": str(number)})
        return self._letters[number]

    async def find(self, wanted: LetterFilter, limit: int) -> Sequence[int]:
        """See DeadLetterStore."""
        return [number for number, letter in sorted(self._letters.items()) if wanted.matches(letter)][:limit]

    async def retry(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """See DeadLetterStore."""
        states = LetterState.OPEN, LetterState.ARCHIVED
        whole = [number for number in numbers if number in self._letters and not self._letters[number].cut]
        closed = self._close(whole, states, LetterState.RETRIED, by)
        self.returned += [self._letters[number] for number in closed]
        return closed

    async def archive(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """See DeadLetterStore."""
        return self._close(numbers, (LetterState.OPEN,), LetterState.ARCHIVED, by)

    def _close(
        self, numbers: Sequence[int], states: tuple[LetterState, ...], state: LetterState, by: str
    ) -> Sequence[int]:
        closed = [one for one in sorted(set(numbers)) if one in self._letters and self._letters[one].state in states]
        for number in closed:
            letter = self._letters[number]
            self._letters[number] = replace(letter, state=state, closed_at=self._now(), closed_by=by, last_try_at=None)
        return closed

    async def due(self, limit: int) -> Sequence[int]:
        """See DeadLetterStore."""
        waiting = [(one.last_try_at, one.number) for one in self._letters.values() if one.last_try_at is not None]
        return [number for at, number in sorted(waiting) if at <= self._now()][:limit]

    async def open(self) -> Mapping[tuple[str, ReasonClass], int]:
        """See DeadLetterStore."""
        return Counter(
            (one.service, one.reason_class) for one in self._letters.values() if one.state is LetterState.OPEN
        )

    async def claim_alert(self) -> tuple[LetterAlert, frozenset[str]] | None:
        """See AlertLog."""
        now = self._now()
        there = [
            letter
            for number, letter in sorted(self._letters.items())
            if number > self._told_up_to and self._kept_at[number] <= now - _GATHER
        ]
        early = self._not_before is not None and self._not_before > now
        if not there or early or (self._leased_until is not None and self._leased_until > now):
            return None
        self._leased_until = now + _LEASE
        counts = Counter((one.service, one.consumer, one.reason_class) for one in there)
        alert = LetterAlert(
            id=f"dead-letters-{self._told_up_to + 1}",
            last=there[-1].number,
            total=len(there),
            since=min(one.dead_at for one in there),
            until=max(one.dead_at for one in there),
            counts=tuple((*key, count) for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
            examples=tuple(replace(one, payload=b"") for one in there[:5]),
        )
        return alert, self._told

    async def told(self, way: str) -> None:
        """See AlertLog."""
        self._told |= {way}

    async def complete_alert(self, alert: LetterAlert, pause: timedelta) -> None:
        """See AlertLog."""
        self._told_up_to, self._told = alert.last, frozenset()
        self._not_before, self._leased_until = self._now() + pause, None
