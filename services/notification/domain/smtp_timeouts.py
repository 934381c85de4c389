"""How long a mail server may take for each step of a dialogue."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTimeouts:
    """By default as long as RFC 5321 (4.5.3.2) asks clients to wait: `connect` for the connection and its greeting,
    `mail` and `rcpt` for these commands, `data` for the reply to the message, which a server may look into first."""

    connect: timedelta = timedelta(minutes=5)
    mail: timedelta = timedelta(minutes=5)
    rcpt: timedelta = timedelta(minutes=5)
    data: timedelta = timedelta(minutes=10)

    @classmethod
    def same(cls, time: timedelta) -> Self:
        """The same time for each step."""
        return cls(**{step.name: time for step in fields(cls)})
