"""A real SMTP server on a free port, whose answers a test may script."""

import asyncio
import email
import email.policy
import warnings
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Mailbox:
    """What was taken, and what to answer next: `mail`, `rcpt` and `data` hold answers for coming commands, then all is
    well."""

    port: int = 0
    pipelining: bool = True
    messages: list[EmailMessage] = field(default_factory=list[EmailMessage])
    senders: list[str] = field(default_factory=list[str])
    recipients: list[str] = field(default_factory=list[str])
    mail: deque[str] = field(default_factory=deque[str])
    rcpt: deque[str] = field(default_factory=deque[str])
    data: deque[str] = field(default_factory=deque[str])
    """An answer `drop` takes the message and closes the connection without a word."""
    attempts: int = 0
    logins: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    before_answer: Callable[[], Awaitable[None]] | None = None
    """Awaited when a message is taken, and nothing is said yet."""

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offers what it can."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.pipelining else responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Takes any sender unless the script says otherwise."""
        if self.mail:
            return self.mail.popleft()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Counts the attempt."""
        self.attempts += 1
        if self.rcpt:
            return self.rcpt.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Takes the message unless the script says otherwise."""
        answer = self.data.popleft() if self.data else "250 2.0.0 taken"
        if answer.startswith("250") or answer == "drop":
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.messages.append(cast(EmailMessage, message))
            self.senders.append(envelope.mail_from)
            self.recipients += envelope.rcpt_tos
            if self.before_answer is not None:
                await self.before_answer()
        if answer == "drop":
            server.transport.abort()
            return "421 gone"
        return answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Lets `user` with `right` in."""
        self.logins.append(data.login)
        return AuthResult(success=data.login == b"user" and data.password == b"right", handled=False)

    @property
    def ids(self) -> list[str]:
        """The Message-IDs taken, in order."""
        return [str(message["Message-ID"]) for message in self.messages]


def mail_text(message: EmailMessage, kind: str) -> str:
    """The body of the kind: plain or html."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


@asynccontextmanager
async def open_mailbox(*, login: bool = False, port: int = 0) -> AsyncIterator[Mailbox]:
    """Serves during the block."""
    mailbox = Mailbox()

    def connect() -> SMTP:
        mailbox.connections += 1
        if not login:
            return SMTP(mailbox, hostname="mail.test")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of logins without TLS: this server is not for the world
            return SMTP(
                mailbox,
                hostname="mail.test",
                authenticator=mailbox.authenticate,
                auth_required=True,
                auth_require_tls=False,
            )

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", port)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
