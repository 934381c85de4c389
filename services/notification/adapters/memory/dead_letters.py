"""`DeadLetterStore` in memory: the same promises as the one on the stream of dead letters."""

from collections.abc import Sequence
from dataclasses import replace

from services.notification.domain.dead_letter import DeadLetter
from services.notification.domain.errors import DeadLetterNotFound


class InMemoryDeadLetters:
    """Dead letters by sequence; `returned` are those that were sent back, in their order."""

    def __init__(self) -> None:
        self.returned: list[DeadLetter] = []
        self._last = 0
        self._letters: dict[int, DeadLetter] = {}

    def add(self, letter: DeadLetter) -> DeadLetter:
        """Keeps it under the next sequence, which is never used again."""
        self._last += 1
        self._letters[self._last] = replace(letter, sequence=self._last)
        return self._letters[self._last]

    async def page(self, *, service: str, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetterStore."""
        newest_first = sorted(self._letters.values(), key=lambda letter: -letter.sequence)
        wanted = (letter for letter in newest_first if before is None or letter.sequence < before)
        return [letter for letter in wanted if service in ("", letter.service)][:limit]

    async def get(self, sequence: int) -> DeadLetter:
        """See DeadLetterStore."""
        if sequence not in self._letters:
            raise DeadLetterNotFound(metadata={"id": str(sequence)})
        return self._letters[sequence]

    async def retry(self, sequence: int) -> None:
        """See DeadLetterStore."""
        self.returned.append(await self.get(sequence))
        del self._letters[sequence]

    async def archive(self, sequence: int) -> None:
        """See DeadLetterStore."""
        self._letters.pop(sequence, None)
