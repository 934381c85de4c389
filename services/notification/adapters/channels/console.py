"""The console channel: a structured log line, and a block for people on standard output."""

import sys
from typing import TextIO

from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import EventMessage
from services.notification.domain.delivery import Endpoint, Outcome, Outgoing, Sent
from services.notification.domain.notification import Type

log = get_logger(__name__)

_COLOURS = {Type.ALERT: "31;1", Type.REMINDER: "33;1", Type.INFO: "36;1"}


class ConsoleChannel:
    """Prints notifications; always configured, never fails."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """Prints it."""
        if isinstance(message, EventMessage):
            return Sent()
        stream = self._stream or sys.stdout
        log.info(
            "notification.console",
            notification=message.id,
            tenant=message.tenant,
            user=message.user,
            type=message.type.value,
            title=message.title,
        )
        print(pretty(message, colours=stream.isatty()), file=stream, flush=True)
        return Sent()


def pretty(message: Outgoing, *, colours: bool) -> str:
    """The notification as a block of text; what could steer a terminal was refused at the door."""
    head = f"[{message.type}] {message.title}"
    if colours:
        head = f"\x1b[{_COLOURS[message.type]}m{head}\x1b[0m"
    lines = [head, f"to {message.user} of {message.tenant}, {message.created_at:%Y-%m-%d %H:%M:%S} UTC"]
    lines += message.body.splitlines()
    if message.data:
        lines.append(message.data)
    if message.link:
        lines.append(message.link)
    return "\n".join(("╭ " if at == 0 else "│ ") + line for at, line in enumerate(lines)) + "\n╰"
