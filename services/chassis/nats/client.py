"""The client of nats-py, made to outlast what a socket, a server and other clients can do to it.

Nothing that is delivered ends its reading: what cannot be read as text is delivered all the same, and marked. No
write on a socket that has just died surprises its caller: it is a lost connection like any other, `nats.errors.Error`.
And no task of the client ends without a new connection.
"""

import asyncio
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from services.chassis.nats.wire_parser import WireParser

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNREADABLE = "Tocsin-Unreadable"
"""Header of a delivered message of which a part could not be read: says which (`subject`, `headers`)."""
# What a write raises on a transport that is closed: uvloop, asyncio, and a transport that is gone already.
_WRITE_FAILED = (OSError, RuntimeError, AttributeError)


class Client(NatsClient):
    """See the module. Private methods are overridden as of nats-py 2.16; `test_client` holds each to its purpose."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = WireParser(self)

    async def _process_pong(self) -> None:
        # A flush that was cancelled or timed out has left its future here: an error that would end reading.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (IndexError, UnicodeDecodeError):
            return {UNREADABLE: "headers"}

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            # The bytes as they look in a literal: text that everybody can print, store and send on.
            shown, answer = (part.decode("utf-8", "backslashreplace") for part in (subject, reply))
            marked = {**(headers or {}), UNREADABLE: "subject"}
            return self.msg_class(subject=shown, reply=answer, data=data, headers=marked, _client=self, _sid=sid)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        try:
            return await super()._flush_pending(force_flush)
        except _WRITE_FAILED as error:
            raise await self._lost(error) from error

    async def _send_ping(self, future: "asyncio.Future[Any] | None" = None) -> None:
        try:
            await super()._send_ping(future)
        except _WRITE_FAILED as error:
            raise await self._lost(error) from error

    async def _lost(self, error: Exception) -> nats.errors.Error:
        """Begins a new connection in place of one that cannot be written to; the error for whoever was writing."""
        await self._process_op_err(error)
        return nats.errors.StaleConnectionError()

    async def _read_loop(self) -> None:
        await super()._read_loop()
        await self._ended()

    async def _flusher(self) -> None:
        await super()._flusher()
        await self._ended()

    async def _ended(self) -> None:
        # After an error that they do not expect they end, while the connection passes for a good one.
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            await self._process_op_err(nats.errors.UnexpectedEOF())

    async def _ping_interval(self) -> None:
        try:
            await super()._ping_interval()
        except nats.errors.Error as error:
            # The ping could not be written, and a new connection has been begun over it.
            log.debug("nats.ping_failed", error=repr(error))

    async def _attempt_reconnect(self) -> None:
        while True:
            try:
                await super()._attempt_reconnect()
            except Exception as error:
                # A server that says what no server says: it is asked again, as one that does not answer is.
                log.warning("nats.reconnect_failed", error=repr(error))
                await asyncio.sleep(self.options["reconnect_time_wait"])
            else:
                return
