"""A server that speaks S3 (moto's), and a bad line to it."""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

from services.chassis.bucket_settings import BucketAddress
from services.chassis.tasks import cancel


@contextmanager
def s3_server() -> Generator[str]:
    """The URL of a server that has nothing yet."""
    # Only when needed: it takes a while to load.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str, name: str) -> BucketAddress:
    """A new, empty bucket."""
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT", headers={"content-length": "0"}, data=b"")
    with urllib.request.urlopen(request):
        pass
    return BucketAddress(
        endpoint=endpoint,
        public_endpoint=endpoint,
        region="us-east-1",
        bucket=name,
        access_key_id="tests",
        secret_access_key="secret",
    )


@dataclass
class BadLine:
    """Between a client and a server. Each connection takes the next fault: `refuse` closes it, `cut` ends the answer
    after so many bytes, `hold` says nothing for so many seconds; none is left: it is a good line."""

    host: str
    port: int
    faults: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    connections: int = 0
    under_way: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault, amount = self.faults.pop(0) if self.faults else ("", 0.0)
        async with closing(writer):
            if fault == "refuse":
                return
            if fault == "hold":
                await asyncio.sleep(amount)
            there, back = await asyncio.open_connection(self.host, self.port)
            async with closing(back):
                ways = {
                    asyncio.create_task(_carry(reader, back, None)),
                    asyncio.create_task(_carry(there, writer, int(amount) if fault == "cut" else None)),
                }
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await cancel(*ways)


@asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncGenerator[None]:
    """Closes the connection at the end."""
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _carry(source: asyncio.StreamReader, to: asyncio.StreamWriter, most: int | None) -> None:
    while data := await source.read(64 * 1024):
        if most is not None:
            data, most = data[:most], most - len(data)
        to.write(data)
        await to.drain()
        if most is not None and most <= 0:
            return


@asynccontextmanager
async def bad_line(address: BucketAddress) -> AsyncGenerator[tuple[BadLine, BucketAddress]]:
    """A line to the bucket, and its address behind that line."""
    host, _, port = address.endpoint.removeprefix("http://").partition(":")
    line = BadLine(host, int(port))
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    try:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line, replace(address, endpoint=endpoint, public_endpoint=endpoint)
    finally:
        server.close()
        await cancel(*line.under_way)
