"""A connection to a mail server: commands go out, their replies come back in order.

The library makes the connection (TLS, login, EHLO). The dialogue from there on is ours: the library waits for every
reply before it sends the next command, and pipelining (RFC 2920) is what makes a million e-mails cheap.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Self, cast

import aiosmtplib

from services.chassis.telemetry.metrics import gauge
from services.notification.domain.smtp_timeouts import SmtpTimeouts

_open = gauge("tocsin_smtp_connections", "Open connections to the mail server.")
_LONGEST_REPLY = 32 * 1024
_UNKNOWN = frozenset({500, 501, 502, 504, 550})
"""What servers say that know no EHLO (RFC 5321, 4.1.1.1, 4.1.4)."""
_QUIT = timedelta(seconds=2)

Tls = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOptions:
    """Where and how to hand e-mails over. A connection is waited for as long as for making one; it carries at most
    `per_connection` e-mails and rests at most `idle`."""

    host: str
    port: int
    sender: str
    tls: Tls = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    connections: int = 16
    per_connection: int = 1000
    idle: timedelta = timedelta(seconds=20)
    timeouts: SmtpTimeouts = field(default_factory=SmtpTimeouts)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said: its code, and all its lines."""

    code: int
    text: str

    @property
    def kind(self) -> int:
        """The first digit of the code."""
        return self.code // 100

    @property
    def refuses(self) -> bool:
        """Whether it is a refusal, for now or for good."""
        return self.kind in (4, 5)


class SmtpConnection(asyncio.Protocol):
    """`used` is how many e-mails it has carried, `reset` whether a transaction is to be given up before the next."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        """Takes over a connection that has been greeted."""
        self.pipelining = client.supports_extension("pipelining")
        self.sizes = client.supports_extension("size")
        self.reports = client.supports_extension("dsn")
        self.used = 0
        self.reset = False
        self.rested_at = 0.0
        self._rest = b""
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._expected = 0
        self._waiter: asyncio.Future[None] | None = None
        self._lost: Exception | None = None
        self._transport = cast(asyncio.Transport, client.transport)  # uvloop's is of no common class
        self._transport.set_protocol(self)
        _open.inc()

    @classmethod
    async def open(cls, options: SmtpOptions) -> Self:
        """Connects and greets. Raises SMTPException, OSError and TimeoutError."""
        client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            timeout=options.timeouts.connect.total_seconds(),
            use_tls=options.tls == "tls",
            start_tls=options.tls == "starttls",
            username=options.user or None,
            password=options.password or None,
        )
        try:
            await client.connect()
            await _greet(client)
        except BaseException:
            client.close()
            raise
        return cls(client)

    @property
    def alive(self) -> bool:
        """Whether nothing has ended it yet."""
        return self._lost is None

    def write(self, content: bytes, replies: int) -> None:
        """Sends it; so many replies are to come. What is lost on the way is told by `reply`."""
        self._expected += replies
        if self._lost is None:
            self._transport.write(content)

    async def reply(self, within: timedelta) -> Reply:
        """The next reply. Raises ConnectionError, and TimeoutError."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(within.total_seconds()):
                await self._waiter
        return self._replies.popleft()

    async def quit(self) -> None:
        """Says goodbye, if there is anybody."""
        if self._lost is None:
            self.write(b"QUIT\r\n", 1)
            with suppress(OSError, TimeoutError):
                await self.reply(_QUIT)
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._end(ConnectionAbortedError("closed"))

    def rest(self) -> None:
        """It waits for the next e-mail from now on."""
        self.rested_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Collects the lines of replies (RFC 5321, 4.2)."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) + sum(map(len, self._lines)) > _LONGEST_REPLY:
            self._end(ConnectionAbortedError("a reply without an end"))
        if self._waiter is not None and not self._waiter.done() and self._replies:
            self._waiter.set_result(None)

    def _line(self, line: bytes) -> None:
        self._lines.append(line)
        if line[3:4] == b"-":
            return
        lines, self._lines = self._lines, []
        text = "\n".join(one[4:].strip().decode("utf-8", "replace") for one in lines)
        self._expected -= 1
        if not line[:3].isdigit() or self._expected < 0:
            # Whoever speaks without being asked is about to leave, and its words must not pass for later replies.
            self._end(ConnectionAbortedError("a reply that is none"))
            return
        self._replies.append(Reply(int(line[:3]), text))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._end(exc if isinstance(exc, OSError) else ConnectionResetError("the server closed it"))

    def _end(self, error: Exception) -> None:
        if self._lost is not None:
            return
        self._lost = error
        _open.dec()
        self._transport.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def _greet(client: aiosmtplib.SMTP) -> None:
    """Learns what the server can do; an old one is greeted as it knows it. Raises SMTPException."""
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code not in _UNKNOWN or not client.is_connected:
            raise
        await client.helo()
