"""The dialogue in which e-mails are handed over, one after another on a connection (RFC 5321).

Where the server pipelines (RFC 2920), the commands of an e-mail are one step, and those of the next one go out with the
content of the one before: a round trip for an e-mail. The outcome of each is exact all the same: replies come in the
order of commands, and only an e-mail whose content was sent may have been taken.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from services.notification.adapters.channels.smtp_connection import Reply, SmtpConnection
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent
from services.notification.domain.smtp_replies import CLOSING, classify_smtp
from services.notification.domain.smtp_timeouts import SmtpTimeouts

_LINE_END = re.compile(rb"\r\n|\r|\n")
_DONE, _GO_ON = 2, 3
"""What a reply means, its first digit says alone (RFC 5321, 4.2)."""
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Command:
    """A command, how the replies that mean yes begin, and for how long one is waited for."""

    name: str
    line: bytes
    good: int
    within: timedelta


class Dialogue:
    """Hands over e-mails on a connection, which carries `most` in its life."""

    def __init__(self, connection: SmtpConnection, sender: str, timeouts: SmtpTimeouts, most: int) -> None:
        self._connection = connection
        self._sender = sender
        self._timeouts = timeouts
        self._most = most
        self._step = ""

    async def hand_over(self, mail: Mail, more: Iterator[Mail], told: Callable[[Outcome], None]) -> Mail | None:
        """Hands over the e-mail and those behind it, and tells the outcome of each in their order, until there are no
        more, one is `away`, or the connection is good for no more. Gives back the e-mail of which nothing has been said
        yet: another connection is worth a try."""
        connection, next_one = self._connection, mail
        ahead: list[_Command] | None = None
        while connection.alive and connection.used < self._most:
            mail, commands = next_one, ahead if ahead is not None else self._begin(next_one)
            try:
                refusal = await self._envelope(commands)
            except (OSError, TimeoutError) as error:
                connection.close()
                if connection.used and self._step in ("RSET", "MAIL"):
                    return mail  # the connection had died while it rested
                told(self._cut(error))
                return None
            if refusal is not None and refusal.away and connection.used:
                return mail  # the server has had enough of this connection
            following = None if refusal is not None and refusal.away else self._following(more)
            connection.used += 1
            if refusal is not None:
                told(refusal)
                ahead = None
            else:
                ahead = self._commands(following) if connection.pipelining and following is not None else None
                connection.write(_wire(mail.content) + _lines(ahead or ()), 1 + len(ahead or ()))
                try:
                    told(self._word(await connection.reply(self._timeouts.data)))
                except (OSError, TimeoutError) as error:
                    connection.close()
                    told(self._cut(error, handed_over=True))
            if following is None:
                return None
            next_one = following
        return next_one

    def _following(self, more: Iterator[Mail]) -> Mail | None:
        return next(more, None) if self._connection.used + 1 < self._most else None

    def _begin(self, mail: Mail) -> list[_Command]:
        commands = self._commands(mail)
        if self._connection.pipelining:
            self._connection.write(_lines(commands), len(commands))
        return commands

    def _commands(self, mail: Mail) -> list[_Command]:
        times, sender = self._timeouts, f"MAIL FROM:<{mail.sender or self._sender}>"
        recipient = f"RCPT TO:<{mail.recipient}>"
        if self._connection.sizes:
            sender += f" SIZE={len(mail.content)}"
        if mail.envelope_id and self._connection.reports:
            # The head is enough to say which e-mail it was; of one that arrives nothing is reported.
            sender += f" RET=HDRS ENVID={_xtext(mail.envelope_id)}"
            recipient += f" NOTIFY=FAILURE,DELAY ORCPT=rfc822;{_xtext(mail.recipient)}"
        commands = [
            _Command("MAIL", f"{sender}\r\n".encode("ascii"), _DONE, times.mail),
            _Command("RCPT", f"{recipient}\r\n".encode("ascii"), _DONE, times.rcpt),
            _Command("DATA", b"DATA\r\n", _GO_ON, times.data),
        ]
        if self._connection.reset:
            self._connection.reset = False
            return [_Command("RSET", b"RSET\r\n", _DONE, times.mail), *commands]
        return commands

    async def _envelope(self, commands: list[_Command]) -> Failure | None:
        """The refusal, or None where the server waits for the content. Raises OSError and TimeoutError."""
        connection, refusal, reply = self._connection, None, Reply(0, "")
        for command in commands:
            self._step = command.name
            if not connection.pipelining:
                connection.write(command.line, 1)
            reply = await connection.reply(command.within)
            if refusal is not None or reply.kind == command.good:
                continue
            if command.name == "RSET":
                raise ConnectionAbortedError(reply.text)
            about_us = command.name == "MAIL"
            refusal = classify_smtp(reply.code, reply.text, about_us=about_us)
            refusal = replace(refusal, away=about_us and reply.code == CLOSING)
            connection.reset = True
            if reply.code == CLOSING or not reply.refuses:
                # It leaves, or nobody knows what it is at.
                connection.close()
                return refusal
            if not connection.pipelining:
                return refusal
        if refusal is not None and reply.kind == _GO_ON:
            # Without anybody to send to it asks for the content all the same (RFC 2920, 3.1): there is none.
            connection.write(b".\r\n", 1)
            await connection.reply(self._timeouts.data)
        return refusal

    def _word(self, reply: Reply) -> Outcome:
        """What the server says to the content."""
        self._step = "the message"
        if reply.code == CLOSING:
            self._connection.close()
        if reply.kind == _DONE:
            return Sent(reply.text[:_SHOWN])
        failure = classify_smtp(reply.code, reply.text)
        if not reply.refuses:
            self._connection.close()
            return replace(failure, unknown=True)
        return failure

    def _cut(self, error: Exception, *, handed_over: bool = False) -> Failure:
        """There was no reply. Commands that went out together leave open which of them the server hangs at, so only
        MAIL on its own tells that it takes no e-mails at all; a server that ends the connection at it is away, too."""
        late = isinstance(error, TimeoutError)
        step = "the message" if handed_over else self._step
        return Failure(
            kind=FailureKind.TRANSIENT,
            code="SMTP_TIMEOUT" if late else "SMTP_DISCONNECTED",
            message=f"the mail server {'gave no answer to' if late else 'ended the connection at'} {step}"
            + ("; the outcome is unknown" if handed_over else ""),
            unknown=handed_over,
            unanswered=True,
            away=self._step == "MAIL" and not handed_over and not (late and self._connection.pipelining),
        )


def _lines(commands: list[_Command] | tuple[()]) -> bytes:
    return b"".join(command.line for command in commands)


def _xtext(text: str) -> str:
    """As parameters of RFC 3461 (4) hold it."""
    return text.replace("+", "+2B").replace("=", "+3D")


def _wire(content: bytes) -> bytes:
    """As it goes over the wire (RFC 5321, 4.5.2): lines end with CRLF, none is a dot, and the last line is one."""
    ends = content.count(b"\r\n")
    if not ends == content.count(b"\n") == content.count(b"\r"):
        content = _LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
