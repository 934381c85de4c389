"""A way to a server that loses what it carries without a word, as a network does behind a firewall or a failover."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from services.chassis.tasks import cancel


class LostNetwork:
    """`port` leads to the server. Once `lost` is set, connections that stood before hear nothing more, and new ones
    work."""

    def __init__(self) -> None:
        self.port = 0
        self.lost = asyncio.Event()
        self._pumps: set[asyncio.Task[None]] = set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, since: bool) -> None:
        try:
            while data := await reader.read(65536):
                if self.lost.is_set() == since:
                    writer.write(data)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    @asynccontextmanager
    async def to(self, host: str, port: int) -> AsyncGenerator[None]:
        """Carries to that server during the block."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection(host, port)
            for ends in ((reader, there[1]), (there[0], writer)):
                self._pumps.add(asyncio.create_task(self._pump(*ends, self.lost.is_set())))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await cancel(*self._pumps)
