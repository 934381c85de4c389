"""Dead letters, and who is told of them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from services.notification.domain.dead_letter import DeadLetter, LetterAlert, LetterFilter, ReasonClass


class DeadLetterStore(Protocol):
    """The dead letters of all services, whoever may see them."""

    async def keep(self, letters: Sequence[DeadLetter]) -> int:
        """Keeps them OPEN; how many were not known by their names. One about what was tried a last time lately is
        ARCHIVED at once. All or none."""
        ...

    async def page(self, wanted: LetterFilter, *, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` with lower numbers than `before`, newest first, without their payloads."""
        ...

    async def get(self, number: int) -> DeadLetter:
        """Raises DeadLetterNotFound."""
        ...

    async def find(self, wanted: LetterFilter, limit: int) -> Sequence[int]:
        """The numbers of up to `limit`, oldest first."""
        ...

    async def retry(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """Sends those of them that are OPEN or ARCHIVED, and whole, back to where they came from: RETRIED. The numbers
        of those sent back, perhaps not all where they are large. Each goes once, however many ask at once."""
        ...

    async def archive(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """Those of them that are OPEN become ARCHIVED; their numbers."""
        ...

    async def due(self, limit: int) -> Sequence[int]:
        """The numbers of up to `limit` OPEN ones whose last try is due."""
        ...

    async def open(self) -> Mapping[tuple[str, ReasonClass], int]:
        """How many are OPEN, by service and class."""
        ...


class AlertLog(Protocol):
    """What operators have been told of dead letters, shared by all replicas."""

    async def claim_alert(self) -> tuple[LetterAlert, frozenset[str]] | None:
        """What there is to tell, for a minute nobody else's, and by which ways it has been told already. None when
        there is nothing, or it is too early, or somebody is at it."""
        ...

    async def told(self, way: str) -> None:
        """The alert at hand has been told by this way."""
        ...

    async def complete_alert(self, alert: LetterAlert, pause: timedelta) -> None:
        """It has been told; the next one comes after `pause`."""
        ...
