"""The console channel: a structured log line, and a block for people on standard output."""

import json
import re
import sys
from typing import Final, TextIO

from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import EventMessage
from services.notification.domain.delivery import Endpoint, Outcome, Outgoing, Sent
from services.notification.domain.notification import Type

log = get_logger(__name__)

_STEERING: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal may take for a command, or turns the direction of writing around; texts and JSON may hold it."""
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
    """The notification as a block of text. What could steer a terminal is escaped as in JSON."""
    head = f"[{message.type}] {message.title}"
    if colours:
        head = f"\x1b[{_COLOURS[message.type]}m{head}\x1b[0m"
    lines = [head, f"to {message.user} of {message.tenant}, {message.created_at:%Y-%m-%d %H:%M:%S} UTC"]
    lines += message.body.splitlines()
    if message.data:
        lines.append(message.data)
    if message.link:
        lines.append(message.link)
    shown = [lines[0], *(_STEERING.sub(lambda found: json.dumps(found[0])[1:-1], line) for line in lines[1:])]
    return "\n".join(("╭ " if at == 0 else "│ ") + line for at, line in enumerate(shown)) + "\n╰"
