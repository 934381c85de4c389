"""Lets the clients of an Envoy go before it ends, from beside it: Envoy itself ends at once when it is told to.

Envoy is asked to drain: from then on its answers say that their connection ends with them (`connection: close`,
GOAWAY), and after its drain time (`--drain-time-s`) it takes no new ones.
"""

import asyncio
import json
import signal
import time
from datetime import timedelta
from pathlib import Path

from services.cli.runtime.errors import RuntimeProblem

_ASK_WITHIN = 5.0
_PAUSE = 0.5
_DRAIN = "POST /drain_listeners?graceful"
_CONNECTIONS = "http.edge.downstream_cx_active"
_ASK_FOR_CONNECTIONS = f"GET /stats?format=json&filter=^{_CONNECTIONS}$"


async def drain_at_stop(socket: Path, within: timedelta) -> int:
    """Waits until this process is told to stop, then drains the Envoy whose administration is at `socket`; returns when
    it has no clients left, or after `within`, with their number. Raises RuntimeProblem when Envoy cannot be asked."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    return await drain(socket, within)


async def drain(socket: Path, within: timedelta) -> int:
    """As `drain_at_stop`, at once."""
    deadline = time.monotonic() + within.total_seconds()
    await _ask(socket, _DRAIN)
    while True:
        left = await _connections(socket)
        if not left or time.monotonic() >= deadline:
            return left
        await asyncio.sleep(_PAUSE)


async def _connections(socket: Path) -> int:
    stats = json.loads(await _ask(socket, _ASK_FOR_CONNECTIONS))["stats"]
    return sum(stat["value"] for stat in stats if stat.get("name") == _CONNECTIONS)


async def _ask(socket: Path, request: str) -> str:
    try:
        async with asyncio.timeout(_ASK_WITHIN):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(f"{request} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise RuntimeProblem(f"Envoy's administration at {socket} does not answer: {error!r}") from None
    if " 200 " not in head.partition("\r\n")[0] + " ":
        raise RuntimeProblem(f"Envoy refuses {request!r}: {head.partition(chr(13))[0]}")
    return _dechunked(body) if "transfer-encoding: chunked" in head.lower() else body


def _dechunked(body: str) -> str:
    """The text of a body in chunks (ASCII alone)."""
    text = ""
    while body:
        size, _, rest = body.partition("\r\n")
        length = int(size, 16)
        text, body = text + rest[:length], rest[length + 2 :]
    return text
