"""Renders in processes of its own, so that the event loop is never held up and reportlab's memory is only taken while
there are invoices to make.

A process ends when its input does, which is when this one ends, however that happens. (The pool of the standard library
keeps both ends of its pipes in every worker: its workers outlive a parent that is killed.)
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from types import TracebackType
from typing import Self

from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.rendering.worker import HEADER, frame
from services.notification.application.ports import RenderFailed
from services.notification.domain.invoice import Debt

log = get_logger(__name__)
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV")
_TIMEOUT_SECONDS = 60.0
_SHARE = 50
"""Debts that one process renders at a time: small enough to keep several of them busy."""


class _Process:
    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self._used_at = 0.0

    async def render(self, debts: Sequence[Debt]) -> list[bytes]:
        async with self._lock:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    return await self._ask(debts)
            except (asyncio.IncompleteReadError, OSError, TimeoutError) as error:
                await self._kill()
                raise RenderFailed(f"the renderer ended ({type(error).__name__})") from error
            except asyncio.CancelledError:
                await self._kill()  # its answer would be taken for that of the next request
                raise
            finally:
                self._used_at = time.monotonic()

    async def _ask(self, debts: Sequence[Debt]) -> list[bytes]:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame(json.dumps([asdict(debt) for debt in debts]).encode()))
        await process.stdin.drain()
        head = await _read(process.stdout)
        if head.startswith(b"!"):
            raise RenderFailed(head[1:].decode(errors="replace"))
        return [await _read(process.stdout) for _ in range(int(head))]

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.notification.adapters.rendering.worker",
                self._issuer,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            )
            log.info("renderer.started", pid=self._process.pid)
        return self._process

    async def rest(self, idle: timedelta) -> None:
        """Ends the process if it has had nothing to do for as long as `idle`."""
        if self._process is None or self._lock.locked() or time.monotonic() - self._used_at < idle.total_seconds():
            return
        async with self._lock:
            await self.end()

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await process.wait()
                return
        process.kill()
        await process.wait()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class SubprocessRenderer:
    """A Renderer with `processes` processes, started when they are needed and ended after `idle`."""

    def __init__(self, issuer: str, *, processes: int = 1, idle: timedelta = timedelta(seconds=30)) -> None:
        self._idle = idle
        self._processes = [_Process(issuer) for _ in range(processes)]
        self._free: asyncio.Queue[_Process] = asyncio.Queue()
        for process in self._processes:
            self._free.put_nowait(process)
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
        await asyncio.gather(*(process.end() for process in self._processes))

    async def render(self, debts: Sequence[Debt]) -> Sequence[bytes]:
        """See Renderer."""
        shares = [debts[at : at + _SHARE] for at in range(0, len(debts), _SHARE)]
        rendered = await asyncio.gather(*(self._render(share) for share in shares), return_exceptions=True)
        pdfs: list[bytes] = []
        for outcome in rendered:
            if isinstance(outcome, BaseException):
                raise outcome
            pdfs += outcome
        return pdfs

    async def _render(self, debts: Sequence[Debt]) -> list[bytes]:
        process = await self._free.get()
        try:
            return await process.render(debts)
        finally:
            self._free.put_nowait(process)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(max(self._idle.total_seconds() / 4, 0.05))
            for process in self._processes:
                await process.rest(self._idle)


async def _read(stream: asyncio.StreamReader) -> bytes:
    (length,) = HEADER.unpack(await stream.readexactly(HEADER.size))
    return await stream.readexactly(length)
