"""The dead letters of all services, newest first."""

import re
from collections.abc import Sequence

import nats.errors

from services.chassis.auth import principal
from services.chassis.errors import Unavailable
from services.chassis.nats import DeadLetter, DeadLetters, NatsConnection, Published
from services.chassis.nats.topology import DEAD_LETTERS
from services.notification.adapters.nats.events import TENANT_HEADER
from services.notification.domain.errors import DeadLetterNotFound, TenantForbidden

_FIRST_WINDOW = 200
# Sequences of a stream begin at 1; for 0 the broker answers with an error of the request.
_SEQUENCE = re.compile("[1-9][0-9]{0,17}")


class DeadLetterBox:
    """What the caller may see and do of the dead letters: those of a tenant need a token that names it."""

    def __init__(self, connection: NatsConnection, letters: DeadLetters) -> None:
        self._connection = connection
        self._letters = letters

    async def page(self, *, service: str, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` dead letters below a sequence, newest first.

        The stream is read forwards only: windows of growing size are looked at from its end.
        """
        first, last = await self._bounds()
        end = last + 1 if before is None else min(before, last + 1)
        found: list[DeadLetter] = []
        window = _FIRST_WINDOW
        while len(found) < limit and end > first:
            start = max(end - window, first)
            letters = await self._letters.list(service=service or "*", after=start - 1, limit=end - start)
            found += [letter for letter in reversed(letters) if letter.sequence < end and _visible(letter)]
            end = start
            window *= 4
        return found[:limit]

    async def get(self, id_: str) -> DeadLetter:
        """Raises DeadLetterNotFound and TenantForbidden."""
        if not _SEQUENCE.fullmatch(id_):
            raise DeadLetterNotFound(metadata={"id": id_})
        letter = await self._letters.get(int(id_))
        tenant = letter.headers.get(TENANT_HEADER, "")
        if not _visible(letter):
            raise TenantForbidden(tenant)
        return letter

    async def retry(self, id_: str) -> tuple[DeadLetter, Published]:
        """Hands it back to the service that gave it up."""
        letter = await self.get(id_)
        return letter, await self._letters.retry(letter.sequence)

    async def archive(self, id_: str) -> None:
        """Puts it away for good."""
        await self._letters.archive((await self.get(id_)).sequence)

    async def _bounds(self) -> tuple[int, int]:
        try:
            info = await self._connection.js.stream_info(DEAD_LETTERS)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error
        return max(info.state.first_seq, 1), info.state.last_seq


def _visible(letter: DeadLetter) -> bool:
    tenant = letter.headers.get(TENANT_HEADER, "")
    return not tenant or principal.current().may_touch(tenant)
