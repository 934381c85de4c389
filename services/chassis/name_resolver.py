"""Addresses of names from the operating system's resolver, so that one that hangs holds up its own names only.

A look-up is a blocking call that cannot be ended, only left: it keeps a thread for as long as the resolver takes, which
for a name server that is silent is half a minute. So the threads are our own, and shared out:

- callers who ask for the same name at the same time share one look-up;
- the names of one zone (`a.example.com` and `b.example.com`), which the same name servers answer, have PLACES at a
  time, and one for as long as a look-up of theirs has taken too long; others of the zone wait for a place;
- what nobody waits for any more when its turn comes is not looked up.

So a silent zone keeps a few of the threads, and mostly one; the names of all others find theirs.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

SECONDS: Final = 3.0
"""A resolver that takes longer counts as one that does not know the name."""
THREADS: Final = 256
PLACES: Final = 8
"""Look-ups of one zone at a time."""
_MAX_ZONES: Final = 1000
"""Zones that are remembered for having been slow."""
_SHORT: Final = 3
"""Letters of a second level below a country that is for everybody, like `co.uk`, at most."""

LookUp = Callable[[str, int], list[str]]
"""Name and port to addresses as text, blocking. Raises OSError, and UnicodeError for what is no name."""
_Key = tuple[str, int]
_Outcome = list[str] | Exception


@dataclass(slots=True)
class _Asked:
    """A look-up that waits or is under way; `answer` is of all who wait for it."""

    key: _Key
    answer: "asyncio.Future[list[str]]"
    since: float


@dataclass(slots=True)
class _Zone:
    """What is under way for the names of a zone."""

    running: list[_Asked] = field(default_factory=list[_Asked])
    waiting: deque[_Asked] = field(default_factory=deque[_Asked])
    slow: bool = False

    def has_place(self, now: float) -> bool:
        """Whether another look-up may begin."""
        slow = self.slow or any(now - asked.since > SECONDS for asked in self.running)
        return len(self.running) < (1 if slow else PLACES)


class NameResolver:
    """For one event loop."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        self._look_up = look_up or _system_look_up
        self._threads = 0
        self._asked: dict[_Key, _Asked] = {}
        self._zones: dict[str, _Zone] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses, however long that takes. Raises OSError and UnicodeError."""
        asked = self._asked.get((host, port)) or self._ask((host, port))
        # Who leaves takes nothing from the others.
        return await asyncio.shield(asked.answer)

    def _ask(self, key: _Key) -> _Asked:
        loop = asyncio.get_running_loop()
        asked = self._asked[key] = _Asked(key, loop.create_future(), loop.time())
        asked.answer.add_done_callback(_heard)
        name = zone_of(key[0])
        zone = self._zones.setdefault(name, _Zone())
        zone.waiting.append(asked)
        self._go_on(name, zone, loop)
        return asked

    def _go_on(self, name: str, zone: _Zone, loop: asyncio.AbstractEventLoop) -> None:
        """Begins what has a place, and forgets what nobody waits for any more."""
        now = loop.time()
        while zone.waiting and now - zone.waiting[0].since > SECONDS:
            late = zone.waiting.popleft()
            self._finish(late, TimeoutError(f"no look-up of {late.key[0]} could begin in time"))
        while zone.waiting and zone.has_place(now) and self._threads < THREADS:
            asked = zone.waiting.popleft()
            asked.since = now
            zone.running.append(asked)
            self._threads += 1
            ended = partial(self._ended, name, zone, asked, loop)
            # Of no pool: the end of the process would wait for the threads of one.
            threading.Thread(
                target=_run, args=(self._look_up, asked.key, loop, ended), name=f"resolve {asked.key[0]}", daemon=True
            ).start()
        if not zone.waiting and not zone.running and (not zone.slow or len(self._zones) > _MAX_ZONES):
            self._zones.pop(name, None)

    def _ended(self, name: str, zone: _Zone, asked: _Asked, loop: asyncio.AbstractEventLoop, outcome: _Outcome) -> None:
        full = self._threads == THREADS
        self._threads -= 1
        zone.running.remove(asked)
        zone.slow = loop.time() - asked.since > SECONDS
        self._finish(asked, outcome)
        self._go_on(name, zone, loop)
        if full:
            for other, held_up in list(self._zones.items()):
                self._go_on(other, held_up, loop)

    def _finish(self, asked: _Asked, outcome: _Outcome) -> None:
        del self._asked[asked.key]
        if isinstance(outcome, Exception):
            asked.answer.set_exception(outcome)
        else:
            asked.answer.set_result(outcome)


def zone_of(host: str) -> str:
    """The last two labels of a name, or three below what is a country's for everybody: such names share name
    servers."""
    labels = host.lower().rstrip(".").split(".")
    shared = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT
    return ".".join(labels[-3 if shared else -2 :])


def _run(look_up: LookUp, key: _Key, loop: asyncio.AbstractEventLoop, ended: Callable[[_Outcome], None]) -> None:
    try:
        outcome: _Outcome = look_up(*key)
    except Exception as error:
        outcome = error
    with suppress(RuntimeError):  # the loop has gone, and all who waited with it
        loop.call_soon_threadsafe(ended, outcome)


def _heard(answer: "asyncio.Future[list[str]]") -> None:
    """An error is no fault of the program when all have left who asked."""
    if not answer.cancelled():
        answer.exception()


def _system_look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
