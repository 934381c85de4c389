"""Hears of catalogue changes that other replicas make."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NoReturn

from services.chassis.postgres.listener import reload_on_change

CHANNEL: Final = "ingestion_catalogue"
_SETTLE: Final = timedelta(milliseconds=50)
"""Changes come in bursts (an import of devices): reading the catalogue once for all of them is enough."""


async def listen(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> NoReturn:
    """Calls `reload` after each change, and after each (re)connect. For ever."""
    await reload_on_change(
        dsn, schema, "tocsin-ingestion-catalogue", CHANNEL, reload, settle=_SETTLE, lost="catalogue.listener_lost"
    )
