"""Certificates as servers show them: of PostgreSQL and NATS, which begin in plain text, and of the edge.

Only their end is looked at, so nothing of them is verified; whether they are trusted shows when the parts connect.
"""

import asyncio
import json
import re
import ssl
import struct
from collections.abc import Awaitable, Callable

from services.cli.doctor.certificates import certificate_end, until_outcome
from services.cli.doctor.check import Outcome, ok

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ADVICE = "renew it, and let the server read it anew"
_PLAIN = "plain text: fine on loopback or within one trusted network only"
_Begin = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Goes as far as TLS begins; whether the server offers it."""


def servers_of(text: str, default_port: int) -> list[tuple[str, int]]:
    """`host` and `port` of each address in a list; none for a socket of this machine."""
    found: list[tuple[str, int]] = []
    for one in text.split(","):
        match = re.fullmatch(r"(?:\w+://)?(?:\[([0-9A-Fa-f:.]+)\]|([^:/\s]+))(?::(\d+))?/?", one)
        if match:
            found.append((match[1] or match[2], int(match[3] or default_port)))
    return found


async def postgres_certificate(host: str, port: int) -> Outcome:
    """The certificate of a PostgreSQL server."""

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(_SSL_REQUEST)
        return await reader.readexactly(1) == b"S"

    return await _shown(host, port, begin)


async def nats_certificate(host: str, port: int) -> Outcome:
    """The certificate of a NATS server."""

    async def begin(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
        told = (await reader.readline()).removeprefix(b"INFO ")
        info = json.loads(told)
        return bool(info.get("tls_required") or info.get("tls_available"))

    return await _shown(host, port, begin)


async def edge_certificate(host: str, port: int) -> Outcome:
    """The certificate of the edge, or of what stands before it."""

    async def begin(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
        return True

    return await _shown(host, port, begin)


async def _shown(host: str, port: int, begin: _Begin) -> Outcome:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        if not await begin(reader, writer):
            return ok(f"no TLS is offered ({_PLAIN})")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await writer.start_tls(context, server_hostname=host)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    subject, ends = certificate_end(shown)
    return until_outcome(f"{subject} of {host}:{port}", ends, _ADVICE)
