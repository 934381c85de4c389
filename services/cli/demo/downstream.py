"""A downstream team of the demo: a plain NATS subscriber with read-only credentials."""

from collections import Counter
from typing import TYPE_CHECKING

from services.cli.output import table

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from rich.console import RenderableType

    from services.chassis.mesh_names import MeshNames


class Downstream:
    """Counts the events that it may see, by subject."""

    def __init__(self, connection: "Client", names: "MeshNames") -> None:
        self._connection = connection
        self._names = names
        self.seen: Counter[tuple[str, str]] = Counter()
        """Events by subject and type."""

    async def start(self) -> None:
        """Subscribes to everything that its account is given."""
        await self._connection.subscribe(self._names.subject("tocsin.>"), cb=self._count)
        await self._connection.flush()

    async def _count(self, message: "Msg") -> None:
        event_type = (message.headers or {}).get("ce-type", "").split(".")[-1]
        # Windows are published by series: the first four tokens name the event.
        name = ".".join(self._names.plain_subject(message.subject).split(".")[:4])
        self.seen[self._names.subject(name), event_type] += 1

    async def summary(self) -> "RenderableType":
        """What was seen until now."""
        await self._connection.flush()
        rows = [(subject, event_type, f"{count:,}") for (subject, event_type), count in sorted(self.seen.items())]
        return table("", ("subject", "event", "seen>"), rows)
