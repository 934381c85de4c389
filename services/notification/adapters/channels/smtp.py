"""Hands e-mails to an SMTP server over pooled connections."""

import asyncio
import ssl
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType
from typing import Literal, Self

import aiosmtplib

from services.chassis.telemetry.logs import get_logger
from services.chassis.telemetry.metrics import gauge
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent
from services.notification.domain.smtp_replies import CLOSING, OPERATOR_FLOOR, classify_smtp
from services.notification.domain.smtp_timeouts import SmtpTimeouts

log = get_logger(__name__)
_open = gauge("tocsin_smtp_connections", "Open connections to the mail server.")

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


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    used: int = 0
    rested_at: float = 0.0


class SmtpMailer:
    """A Mailer. Connections are made when they are needed and kept for the next e-mail."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._free: deque[_Connection] = deque()
        self._slots = asyncio.Semaphore(options.connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._free:
            await self._close(self._free.pop())

    async def send(self, mail: Mail) -> Outcome:
        """One attempt. After the message was handed over, a lost connection or a time-out is an unknown outcome; as
        long as it waits for a connection, it is none."""
        deadline = asyncio.get_running_loop().time() + self._options.timeouts.connect.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError as error:
            return _failed(error, unknown=False)
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        connection = await self._take()
                except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                    return replace(_failed(error, unknown=False), away=True)
                outcome = await self._dialogue(connection, mail)
                if outcome is not None:
                    return outcome
        finally:
            self._slots.release()

    async def _dialogue(self, connection: _Connection, mail: Mail) -> Outcome | None:
        """The outcome; None when a connection that had rested turned out to be dead, and another is worth a try."""
        named = handed_over = good = False
        try:
            client, timeouts = connection.client, self._options.timeouts
            options = [f"SIZE={len(mail.content)}"] if client.supports_extension("size") else None
            await client.mail(self._options.sender, options=options, timeout=timeouts.mail.total_seconds())
            named = True
            await client.rcpt(mail.recipient, timeout=timeouts.rcpt.total_seconds())
            handed_over = True
            reply = await client.data(mail.content, timeout=timeouts.data.total_seconds())
            good = True
        except aiosmtplib.SMTPResponseException as error:
            good = await self._reset(connection)
            refused = _refused(error)
            return refused if named else replace(refused, away=error.code == CLOSING)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            if connection.used and not handed_over:
                return None
            return replace(_failed(error, unknown=handed_over), away=not named)
        finally:
            await self._give_back(connection, good)
        return Sent(reply.message[:200])

    async def _take(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            rested = time.monotonic() - connection.rested_at
            if connection.client.is_connected and rested < self._options.idle.total_seconds():
                return connection
            await self._close(connection)
        options = self._options
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
            await client.ehlo()
        except BaseException:
            client.close()
            raise
        _open.inc()
        return _Connection(client)

    async def _reset(self, connection: _Connection) -> bool:
        """Whether the connection can be used again after a refusal."""
        try:
            await connection.client.rset()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            return False
        return True

    async def _give_back(self, connection: _Connection, good: bool) -> None:
        connection.used += 1
        connection.rested_at = time.monotonic()
        if good and connection.client.is_connected and connection.used < self._options.per_connection:
            self._free.append(connection)
        elif good:
            await self._close(connection)
        else:
            connection.client.close()
            _open.dec()

    @staticmethod
    async def _close(connection: _Connection) -> None:
        _open.dec()
        if not connection.client.is_connected:
            return
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await connection.client.quit(timeout=2)
        connection.client.close()


def _refused(error: aiosmtplib.SMTPResponseException) -> Failure:
    about_us = not isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
    return classify_smtp(error.code, error.message, about_us=about_us)


def _failed(error: Exception, *, unknown: bool) -> Failure:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refused(error)
    name = type(error).__name__
    if isinstance(error, aiosmtplib.SMTPNotSupported | ssl.SSLError):
        return Failure(
            kind=FailureKind.TRANSIENT,
            code=f"SMTP_{name}",
            message="the mail server does not offer the security that is configured",
            floor=OPERATOR_FLOOR,
            critical=True,
        )
    what = "the outcome is unknown" if unknown else "the mail server cannot be reached"
    return Failure(kind=FailureKind.TRANSIENT, code=f"SMTP_{name}", message=what, unknown=unknown, unanswered=True)
