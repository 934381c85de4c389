"""The world outside (videos, mail, webhooks) in a thread of its own, for meshes that outlive a test's event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.demo.world import World, open_world
from services.cli.runtime.ports import LOOPBACK


@contextmanager
def running_world(videos: Path, host: str = LOOPBACK) -> Iterator[World]:
    """Serves on an address of this machine until the end of the block."""
    started: list[World | BaseException] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with open_world(videos, host) as world:
                started.append(world)
                ready.set()
                await stop.wait()
        except BaseException as error:
            started.append(error)
            ready.set()
            raise

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="world", daemon=True)
    thread.start()
    ready.wait(10)
    world = started[0] if started else TimeoutError("the world did not start")
    if isinstance(world, BaseException):
        raise world
    try:
        yield world
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
