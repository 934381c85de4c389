"""Hands e-mails to an SMTP server over pooled connections."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

import aiosmtplib

from services.notification.adapters.channels.smtp_connection import SmtpConnection, SmtpOptions
from services.notification.adapters.channels.smtp_dialogue import Dialogue
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Failure, FailureKind, Outcome
from services.notification.domain.smtp_replies import OPERATOR_FLOOR, classify_smtp


class SmtpMailer:
    """A Mailer. Connections are made when they are needed and kept for the next e-mail."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._free: deque[SmtpConnection] = deque()
        self._slots = asyncio.Semaphore(options.connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._free:
            await self._free.pop().quit()

    async def send(self, mail: Mail) -> Outcome:
        """See Mailer."""
        outcomes: list[Outcome] = []
        await self.send_all(iter((mail,)), outcomes.append)
        return outcomes[0]

    async def send_all(self, mails: Iterator[Mail], told: Callable[[Outcome], None]) -> None:
        """See Mailer. After the content was handed over, a lost connection or a time-out is an unknown outcome; as long
        as an e-mail waits for a connection, it is none."""
        deadline = asyncio.get_running_loop().time() + self._options.timeouts.connect.total_seconds()
        if (mail := next(mails, None)) is None:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError as error:
            told(_unconnected(error, away=False))
            return
        try:
            while mail is not None:
                try:
                    async with asyncio.timeout_at(deadline):
                        connection = await self._take()
                except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                    told(_unconnected(error, away=True))
                    return
                mail = await self._hand_over(connection, mail, mails, told)
                deadline = asyncio.get_running_loop().time() + self._options.timeouts.connect.total_seconds()
        finally:
            self._slots.release()

    async def _hand_over(
        self, connection: SmtpConnection, mail: Mail, mails: Iterator[Mail], told: Callable[[Outcome], None]
    ) -> Mail | None:
        """The e-mail to go on with on another connection."""
        away = False

        def tell(outcome: Outcome) -> None:
            nonlocal away
            away = isinstance(outcome, Failure) and outcome.away
            told(outcome)

        options = self._options
        try:
            dialogue = Dialogue(connection, options.sender, options.timeouts, options.per_connection)
            left = await dialogue.hand_over(mail, mails, tell)
        except BaseException:
            connection.close()  # nobody knows where the dialogue stands
            raise
        if connection.alive and connection.used < options.per_connection:
            connection.rest()
            self._free.append(connection)
        else:
            await connection.quit()
        return None if away else left or next(mails, None)

    async def _take(self) -> SmtpConnection:
        while self._free:
            connection = self._free.pop()
            if connection.alive and time.monotonic() - connection.rested_at < self._options.idle.total_seconds():
                return connection
            await connection.quit()
        return await SmtpConnection.open(self._options)


def _unconnected(error: Exception, *, away: bool) -> Failure:
    """There is no connection to be had."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return replace(classify_smtp(error.code, error.message, about_us=True), away=away)
    name = f"SMTP_{type(error).__name__}"
    if isinstance(error, aiosmtplib.SMTPNotSupported | ssl.SSLError):
        return Failure(
            kind=FailureKind.TRANSIENT,
            code=name,
            message="the mail server does not offer the security that is configured",
            floor=OPERATOR_FLOOR,
            critical=True,
            away=away,
        )
    message = "the mail server cannot be reached"
    return Failure(kind=FailureKind.TRANSIENT, code=name, message=message, unanswered=True, away=away)
