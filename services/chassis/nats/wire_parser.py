"""Reads what a NATS server sends, whatever other clients have put into it.

The parser of nats-py takes every ASCII white space for the end of a subject, where the protocol knows blanks and tabs
only, and gives the connection up over a line that it cannot read. A subject with a vertical tab in it would so end the
connection of everybody to whom it is delivered, each time that it is.
"""

import json
from typing import TYPE_CHECKING

from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, AWAITING_MSG_PAYLOAD
from nats.protocol.parser import Parser as NatsParser

if TYPE_CHECKING:
    from nats.aio.client import Client

MAX_LINE = 1024 * 1024
"""Bytes of a control line, at the most: the server's own information is the longest."""
_END = b"\r\n"


def _words(text: bytes) -> list[bytes]:
    # Not `split()`, which cuts at every white space.
    return [word for word in text.split(b" ") if word]


class WireParser(NatsParser):
    """Feeds a client of nats-py. Raises its ProtocolError about what no server says."""

    nc: "Client"

    async def parse(self, data: bytes = b"") -> None:
        """Takes what has arrived, and hands on everything that is whole."""
        self.buf.extend(data)
        while self.buf:
            if self.state == AWAITING_CONTROL_LINE:
                end = self.buf.find(_END)
                if end < 0:
                    if len(self.buf) > MAX_LINE:
                        raise ProtocolError("nats: a line without an end")
                    return
                line = bytes(self.buf[:end])
                del self.buf[: end + len(_END)]
                await self._control(line)
            elif not await self._message():
                return

    async def _control(self, line: bytes) -> None:
        verb, _, rest = line.replace(b"\t", b" ").partition(b" ")
        match verb.upper():
            case b"MSG":
                self._expect(1, _words(rest))
            case b"HMSG":
                self._expect(2, _words(rest))
            case b"PING":
                await self.nc._process_ping()  # pyright: ignore[reportPrivateUsage]
            case b"PONG":
                await self.nc._process_pong()  # pyright: ignore[reportPrivateUsage]
            case b"+OK":
                pass
            case b"-ERR":
                await self.nc._process_err(rest.decode("utf-8", "replace").lower())  # pyright: ignore[reportPrivateUsage]
            case b"INFO":
                await self.nc._process_info(json.loads(rest))  # pyright: ignore[reportPrivateUsage]
            case _:
                raise ProtocolError("nats: unknown protocol")

    def _expect(self, sizes: int, words: list[bytes]) -> None:
        """A message follows: `subject sid [reply] [bytes of headers] bytes`."""
        if len(words) not in (2 + sizes, 3 + sizes):
            raise ProtocolError("nats: malformed MSG")
        try:
            lengths = [int(word) for word in words[-sizes:]]
            self.msg_arg["sid"] = int(words[1])
        except ValueError as error:
            raise ProtocolError("nats: malformed MSG") from error
        self.msg_arg["subject"] = words[0]
        self.msg_arg["reply"] = words[2] if len(words) == 3 + sizes else b""
        self.header_needed, self.needed = lengths[0] if sizes == 2 else 0, lengths[-1]
        self.state = AWAITING_MSG_PAYLOAD

    async def _message(self) -> bool:
        """Hands the message on that was announced; False while it is not whole."""
        if len(self.buf) < self.needed + len(_END):
            return False
        headers = bytes(self.buf[: self.header_needed]) if self.header_needed else None
        payload = bytes(self.buf[self.header_needed : self.needed])
        del self.buf[: self.needed + len(_END)]
        self.header_needed, self.state = 0, AWAITING_CONTROL_LINE
        argument = self.msg_arg
        await self.nc._process_msg(  # pyright: ignore[reportPrivateUsage]
            argument["sid"],
            argument["subject"],
            argument["reply"],
            payload,
            headers,  # pyright: ignore[reportArgumentType] - annotated bytes, None where there are none
        )
        return True
