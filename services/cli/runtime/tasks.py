"""Endless work of the supervisor: none of it can end unseen."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

from services.cli.runtime.errors import describe
from services.cli.runtime.health import restart_delay

Tell = Callable[[str, str], None]
"""Receives where something is wrong, and what."""


class Told:
    """Tells each fault of one piece of work once, until the work has gone well again."""

    def __init__(self, where: str, tell: Tell) -> None:
        self._where, self._tell = where, tell
        self._last = ""

    def fault(self, what: str) -> None:
        """Something is wrong."""
        if what != self._last:
            self._last = what
            self._tell(self._where, what)

    def well(self) -> None:
        """The work has been done: the next fault is a new one."""
        self._last = ""


async def keep_going(
    name: str,
    work: Callable[[], Awaitable[object]],
    tell: Tell,
    *,
    fatal: Callable[[], bool] = lambda: False,
    recovered_after: float = 60.0,
) -> NoReturn:
    """Runs work that should never end, for ever: when it ends or fails, that is told and it is begun again, with
    growing pauses. The same fault in a row is told once. Raises an error only while errors
    are `fatal`."""
    loop = asyncio.get_running_loop()
    told, failures = Told(name, tell), 0
    while True:
        begun = loop.time()
        try:
            await work()
            what = "ended by itself"
        except Exception as error:
            if fatal():
                raise
            what = describe(error)
        if loop.time() - begun > recovered_after:
            told.well()
            failures = 0
        failures += 1
        # Who is told may be out of reach; the work is not.
        with contextlib.suppress(Exception):
            told.fault(f"{what}; it is begun again")
        await asyncio.sleep(restart_delay(failures))
