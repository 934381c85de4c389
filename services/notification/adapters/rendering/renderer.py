"""Renders in processes of its own, so that the event loop is never held up and the memory of fonts is only taken while
there are invoices to make.

A process ends when its input does, which is when this one ends, however that happens. (The pool of the standard library
keeps both ends of its pipes in every worker: its workers outlive a parent that is killed.)
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from types import TracebackType
from typing import Self

from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.rendering.worker import FAILED, HEADER, SHARED, frame
from services.notification.application.ports.invoices import RendererEnded, RenderFailed
from services.notification.domain.invoice import Debt, Pdf
from services.notification.domain.issuer import Issuers

log = get_logger(__name__)
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV")
_TIMEOUT_SECONDS = 60.0
_END_SECONDS = 2.0
_SHARE = 50
"""Debts that one process renders at a time: small enough to keep several of them busy."""


class _Child:
    """A renderer's process and the socket to it.

    Not started through the event loop: uvloop forks, which gRPC does not survive; subprocess uses vfork.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", of: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        self._process = process
        self._of = of
        self._to = to

    @classmethod
    async def start(cls, look: str) -> "_Child":
        command = [sys.executable, "-m", "services.notification.adapters.rendering.worker", look]
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _execute(command, theirs.fileno(), environment)
            except OSError:
                ours.close()
                raise
        of, to = await asyncio.open_connection(sock=ours)
        log.info("renderer.started", pid=process.pid)
        return cls(process, of, to)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ask(self, debts: Sequence[Debt]) -> list[Pdf | RenderFailed]:
        """Raises errors of the connection when it ends."""
        self._to.write(frame(json.dumps([asdict(debt) for debt in debts]).encode()))
        await self._to.drain()
        answers, shared = list[Pdf | RenderFailed](), list[bytes]()
        while len(answers) < len(debts):
            answer = await self._read()
            if answer.startswith(SHARED):
                shared.append(answer[1:])
            elif answer.startswith(FAILED):
                answers.append(RenderFailed(answer[1:].decode(errors="replace")))
            else:
                answers.append(Pdf(shared[answer[1]], answer[2:]))
        return answers

    async def _read(self) -> bytes:
        (length,) = HEADER.unpack(await self._of.readexactly(HEADER.size))
        return await self._of.readexactly(length)

    async def end(self, *, kill: bool) -> None:
        """It ends when its input does; one that does not, or that must not go on, is killed."""
        if kill:
            self._process.kill()
        self._to.close()
        try:
            await asyncio.to_thread(self._process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


def _execute(command: Sequence[str], descriptor: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=descriptor, stdout=descriptor, env=environment)


class _Slot:
    """Room for one process: started when it is needed, and again when it has ended."""

    def __init__(self, look: str) -> None:
        self._look = look
        self._child: _Child | None = None
        self._lock = asyncio.Lock()
        self._used_at = 0.0

    async def render(self, debts: Sequence[Debt]) -> list[Pdf | RenderFailed]:
        async with self._lock:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    if self._child is None or not self._child.alive:
                        await self._drop(kill=True)
                        self._child = await _Child.start(self._look)
                    return await self._child.ask(debts)
            except (asyncio.IncompleteReadError, OSError, TimeoutError) as error:
                await self._drop(kill=True)
                raise RendererEnded(f"the renderer ended ({type(error).__name__})") from error
            except asyncio.CancelledError:
                await self._drop(kill=True)  # its answer would be taken for that of the next request
                raise
            finally:
                self._used_at = time.monotonic()

    async def rest(self, idle: timedelta) -> None:
        """Ends the process if it has had nothing to do for as long as `idle`."""
        if self._child is None or self._lock.locked() or time.monotonic() - self._used_at < idle.total_seconds():
            return
        await self.end()

    async def end(self) -> None:
        async with self._lock:
            await self._drop(kill=False)

    async def _drop(self, *, kill: bool) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end(kill=kill)


class SubprocessRenderer:
    """A Renderer with `processes` processes, started when they are needed and ended after `idle`."""

    def __init__(
        self,
        issuers: Issuers,
        *,
        language: str = "en",
        currency: str = "",
        processes: int = 1,
        idle: timedelta = timedelta(seconds=30),
    ) -> None:
        """`language` and `currency` are those of debts that name none."""
        self._idle = idle
        known = {name: asdict(issuer) for name, issuer in issuers.items()}
        look = json.dumps({"issuers": known, "language": language, "currency": currency})
        self._slots = [_Slot(look) for _ in range(processes)]
        self._free: asyncio.Queue[_Slot] = asyncio.Queue()
        for slot in self._slots:
            self._free.put_nowait(slot)
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name="renderer keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await asyncio.gather(*(slot.end() for slot in self._slots))

    async def render(self, debts: Sequence[Debt]) -> Sequence[Pdf | RenderFailed]:
        """See Renderer."""
        shares = [debts[at : at + _SHARE] for at in range(0, len(debts), _SHARE)]
        rendered = await asyncio.gather(*(self._render(share) for share in shares), return_exceptions=True)
        pdfs: list[Pdf | RenderFailed] = []
        for outcome in rendered:
            if isinstance(outcome, BaseException):
                raise outcome
            pdfs += outcome
        return pdfs

    async def _render(self, debts: Sequence[Debt]) -> list[Pdf | RenderFailed]:
        slot = await self._free.get()
        try:
            return await slot.render(debts)
        finally:
            self._free.put_nowait(slot)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(max(self._idle.total_seconds() / 4, 0.05))
            for slot in self._slots:
                await slot.rest(self._idle)
