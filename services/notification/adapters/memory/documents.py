"""`DocumentStore` in memory: the same promises as the one on a JetStream object store."""

from collections.abc import Callable
from datetime import datetime, timedelta

from services.notification.adapters.memory.state import utc_now


class InMemoryDocuments:
    """Objects by name, for `ttl` each."""

    def __init__(self, now: Callable[[], datetime] = utc_now, *, ttl: timedelta = timedelta(days=30)) -> None:
        self._now = now
        self._ttl = ttl
        self._objects: dict[str, tuple[datetime, bytes]] = {}

    async def put(self, name: str, content: bytes) -> None:
        """See DocumentStore."""
        self._objects[name] = self._now(), bytes(content)

    async def get(self, name: str) -> bytes | None:
        """See DocumentStore."""
        put_at, content = self._objects.get(name, (None, b""))
        return content if put_at is not None and self._now() < put_at + self._ttl else None
