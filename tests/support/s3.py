"""A server that speaks S3 (moto's), and a bad line to it."""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

from services.chassis.bucket_settings import BucketAddress


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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        self.connections += 1
        fault, amount = self.faults.pop(0) if self.faults else ("", 0.0)
        try:
            if fault == "refuse":
                return
            if fault == "hold":
                await asyncio.sleep(amount)
            there, back = await asyncio.open_connection(self.host, self.port)
            carrying = asyncio.create_task(_carry(reader, back, None))
            try:
                await _carry(there, writer, int(amount) if fault == "cut" else None)
            finally:
                carrying.cancel()
                await asyncio.wait([carrying])
                back.close()
        except OSError:
            pass
        finally:
            writer.close()


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
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    async with server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line, replace(address, endpoint=endpoint, public_endpoint=endpoint)
