"""Reading dead letters, sending them back, putting them away."""

import re
from collections.abc import Sequence

from services.chassis.auth import principal
from services.notification.application.ports import DeadLetterStore
from services.notification.domain.dead_letter import DeadLetter
from services.notification.domain.errors import DeadLetterNotFound, TenantForbidden

# Sequences begin at 1; eighteen digits are more than there will be, and fit 64 bits.
_SEQUENCE = re.compile("[1-9][0-9]{0,17}")


class DeadLetters:
    """What the caller may see and do of the dead letters of all services: those of a tenant need a token that names
    it."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    async def page(self, *, service: str, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` below a sequence, newest first; an empty `service` means all."""
        found: list[DeadLetter] = []
        while len(found) < limit:
            letters = await self._store.page(service=service, before=before, limit=limit)
            found += [letter for letter in letters if _visible(letter)]
            if len(letters) < limit:
                break
            before = letters[-1].sequence
        return found[:limit]

    async def get(self, id_: str) -> DeadLetter:
        """Raises DeadLetterNotFound and TenantForbidden."""
        if not _SEQUENCE.fullmatch(id_):
            raise DeadLetterNotFound(metadata={"id": id_})
        letter = await self._store.get(int(id_))
        if not _visible(letter):
            raise TenantForbidden(letter.tenant)
        return letter

    async def retry(self, id_: str) -> str:
        """Hands it back to the consumer that gave it up; the subject that it went to. Raises as `get`."""
        letter = await self.get(id_)
        await self._store.retry(letter.sequence)
        return letter.subject

    async def archive(self, id_: str) -> None:
        """Puts it away for good. Raises as `get`."""
        await self._store.archive((await self.get(id_)).sequence)


def _visible(letter: DeadLetter) -> bool:
    return not letter.tenant or principal.current().may_touch(letter.tenant)
