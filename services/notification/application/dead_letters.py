"""Reading dead letters, sending them back, putting them away; by hand, and by themselves a last time."""

import re
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.auth import principal
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.dead_letters import DeadLetterStore
from services.notification.domain.dead_letter import LAST_TRY, DeadLetter, LetterFilter, LetterState
from services.notification.domain.errors import DeadLetterClosed, DeadLetterNotFound, TenantForbidden

log = get_logger(__name__)

# Numbers begin at 1; eighteen digits are more than there will be, and fit 64 bits.
_NUMBER = re.compile("[1-9][0-9]{0,17}")
_STEP = 200


class DeadLetters:
    """What the caller may see and do of the dead letters of all services: those of a tenant need a token that names
    it."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    async def page(self, wanted: LetterFilter, *, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` below a number, newest first."""
        return await self._store.page(_visible(wanted), before=before, limit=limit)

    async def get(self, id_: str) -> DeadLetter:
        """Raises DeadLetterNotFound and TenantForbidden."""
        if not _NUMBER.fullmatch(id_):
            raise DeadLetterNotFound(metadata={"id": id_})
        letter = await self._store.get(int(id_))
        if letter.tenant and not principal.current().may_touch(letter.tenant):
            raise TenantForbidden(letter.tenant)
        return letter

    async def retry(self, id_: str) -> str:
        """Hands it back to the consumer that gave it up; the subject that it goes to. Raises as `get`, and
        DeadLetterClosed."""
        letter = await self.get(id_)
        if not await self._store.retry([letter.number], principal.current().subject):
            raise _closed(await self._store.get(letter.number))
        return letter.subject

    async def archive(self, id_: str) -> None:
        """Puts it away. Raises as `get`, and DeadLetterClosed."""
        letter = await self.get(id_)
        if not await self._store.archive([letter.number], principal.current().subject):
            letter = await self._store.get(letter.number)
            if letter.state is not LetterState.ARCHIVED:
                raise _closed(letter)

    async def retry_many(self, wanted: LetterFilter, limit: int, *, dry_run: bool) -> tuple[int, bool]:
        """Hands back what is OPEN and wanted, the oldest first: how many, and whether there are more."""
        found = await self._store.find(replace(_visible(wanted), whole=True), limit + 1)
        if dry_run:
            return len(found[:limit]), len(found) > limit
        retried = await self._store.retry(found[:limit], principal.current().subject)
        return len(retried), len(found) > len(retried)

    async def archive_many(self, wanted: LetterFilter, limit: int, *, dry_run: bool) -> tuple[int, bool]:
        """Puts away what is OPEN and wanted, the oldest first: how many, and whether there are more."""
        found = await self._store.find(_visible(wanted), limit + 1)
        if dry_run:
            return len(found[:limit]), len(found) > limit
        archived = await self._store.archive(found[:limit], principal.current().subject)
        return len(archived), len(found) > limit


async def try_last(store: DeadLetterStore) -> int:
    """Hands back, a last time and by itself, what has been dead for long enough; how many."""
    total = 0
    while due := await store.due(_STEP):
        tried = await store.retry(due, LAST_TRY)
        total += len(tried)
        if not tried:
            break
    if total:
        log.warning("dead_letters.last_try", letters=total)
    return total


def _visible(wanted: LetterFilter) -> LetterFilter:
    caller = principal.current()
    everybody = principal.EVERYTHING in caller.tenants
    if wanted.tenant and not caller.may_touch(wanted.tenant):
        raise TenantForbidden(wanted.tenant)
    return replace(wanted, tenants=None if everybody else caller.tenants)


def _closed(letter: DeadLetter) -> DeadLetterClosed:
    return DeadLetterClosed(str(letter.number), letter.state, letter.closed_by, letter.closed_at, cut=letter.cut)
