"""The Demuxer over isolated worker processes: started by exec when first needed, kept, killed and replaced when one
crashes, hangs or grows old. A file can cost its own worker, nothing else."""

import asyncio
import enum
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any, Final, cast

from services.chassis.errors import Unavailable
from services.chassis.telemetry.logs import get_logger
from services.media_probe.adapters import metrics
from services.media_probe.adapters.libav import worker_protocol
from services.media_probe.application.ports import Indigestible, Missing, Piece
from services.media_probe.domain.container_formats import Container
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import Inspection

log = get_logger(__name__)

_START_WITHIN: Final = 20.0
_KEEP_WARM_EVERY: Final = 2.0
_MODULE: Final = "services.media_probe.worker"
# What a worker needs to start; it shall not hold our credentials.
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class _Cause(enum.Enum):
    """Why a worker is replaced: the label of the metric, and a field of the log."""

    IDLE = "idle"
    """It had ended without a job."""
    HANGS = "hangs"
    CRASHED = "crashed"
    FAILED = "failed"
    """An error that nobody has foreseen; the log has its text."""


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """`job_within` is the time of one look into bytes that are all there (no network in it)."""

    workers: int = 2
    job_within: timedelta = timedelta(seconds=5)
    memory: int = 256 * 1024 * 1024
    jobs_per_worker: int = 20_000


def _execute(command: Sequence[str], descriptor: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=descriptor, stdout=descriptor, env=environment)


class _Worker:
    """One process and the socket to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", of: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        self.process, self._of, self._to = process, of, to
        self.jobs = 0

    @classmethod
    async def spawn(cls, command: Sequence[str], environment: Mapping[str, str]) -> "_Worker":
        """Raises OSError. Not through the event loop: uvloop forks, which gRPC does not survive, and hands its own
        descriptors on; subprocess uses vfork and closes everything."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _execute(command, theirs.fileno(), environment)
            except OSError:
                ours.close()
                raise
        of, to = await asyncio.open_connection(sock=ours)
        return cls(process, of, to)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        """How it ended, None while it runs."""
        return self.process.poll()

    async def ask(self, job: bytes) -> dict[str, Any]:
        self.jobs += 1
        self._to.write(job)
        await self._to.drain()
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        (length,) = worker_protocol.ANSWER.unpack(await self._of.readexactly(worker_protocol.ANSWER.size))
        if length > worker_protocol.MAX_ANSWER:
            raise ConnectionError("the answer is too long")
        return cast(dict[str, Any], json.loads(await self._of.readexactly(length)))

    async def end(self) -> None:
        self.process.kill()
        self._to.close()
        with suppress(OSError):
            await self._to.wait_closed()
        await asyncio.to_thread(self.process.wait)


class WorkerPool:
    """At most `options.workers` processes; jobs wait for a free one."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._slots = asyncio.Semaphore(options.workers)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._warned = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in (*self._idle, *self._busy)]

    @property
    def busy(self) -> int:
        """How many workers are at work."""
        return len(self._busy)

    async def inspect(
        self, container: Container, pieces: Sequence[Piece], *, seekable: bool = False, size: int | None = None
    ) -> Inspection | Missing | Indigestible:
        """See the port `Demuxer`."""
        job = worker_protocol.pack_job(
            {"demuxer": container.demuxer, "seekable": seekable, "size": size},
            [(piece.offset, piece.data) for piece in pieces],
        )
        async with self._slots:
            worker = await self._take()
            self._busy.add(worker)
            healthy = False
            try:
                async with asyncio.timeout(self._options.job_within.total_seconds()):
                    answer = await worker.ask(job)
                if answer["kind"] == "broken":
                    # Nobody has foreseen it, so nobody knows what state it has left the worker in.
                    raise self._lost(worker, _Cause.FAILED, "the file makes the prober fail", error=answer["message"])
                healthy = True
            except TimeoutError:
                raise self._lost(worker, _Cause.HANGS, "the file makes the prober hang") from None
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                raise self._lost(worker, _Cause.CRASHED, "the file makes the prober crash", error=repr(error)) from None
            finally:
                self._busy.discard(worker)
                # Also when we were cancelled: nobody knows what such a worker would say next.
                if healthy and worker.jobs < self._options.jobs_per_worker:
                    self._idle.append(worker)
                else:
                    await asyncio.shield(worker.end())
        return _read(answer)

    async def ready(self) -> None:
        """Returns when a worker runs. Raises Unavailable when none can be started."""
        if not self._running():
            async with self._slots:
                self._idle.append(await self._take())

    async def alive(self) -> None:
        """Raises Unavailable when no worker runs."""
        if not self._running():
            raise Unavailable("no probe worker runs")

    async def keep_warm(self, stop: asyncio.Event) -> None:
        """Keeps one worker running until `stop` is set, so that the first job need not wait for it."""
        while not stop.is_set():
            try:
                await self.ready()
            except Unavailable as error:
                log.error("no worker", error=error.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_WARM_EVERY):
                    await stop.wait()

    async def close(self) -> None:
        """Kills all workers."""
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))

    def _running(self) -> bool:
        return any(worker.status is None for worker in (*self._busy, *self._idle))

    async def _take(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.status is None:
                return worker
            log.warning("worker died while idle", pid=worker.pid, status=worker.status)
            metrics.WORKERS_REPLACED.labels(cause=_Cause.IDLE.value).inc()
            await worker.end()
        return await self._start()

    async def _start(self) -> _Worker:
        arguments = (os.getpid(), self._options.memory, max(1, int(self._options.job_within.total_seconds())))
        try:
            worker = await _Worker.spawn(
                (sys.executable, "-m", _MODULE, *(str(argument) for argument in arguments)),
                {name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None},
            )
        except OSError as error:
            raise Unavailable("no probe worker can be started") from error
        try:
            async with asyncio.timeout(_START_WITHIN):
                started = await worker.answer()
            if started["kind"] != worker_protocol.READY:
                raise ValueError("an unexpected first answer")
        except BaseException as error:
            await asyncio.shield(worker.end())
            if isinstance(error, OSError | asyncio.IncompleteReadError | ValueError):
                log.error("worker does not start", status=worker.status, error=repr(error))
                raise Unavailable("no probe worker can be started") from error
            raise
        log.info("worker started", pid=worker.pid, filtered=started["filtered"])
        if not started["filtered"] and not self._warned:
            self._warned = True
            log.warning("this kernel does not filter the system calls of probe workers: their limits alone hold them")
        return worker

    @staticmethod
    def _lost(worker: _Worker, cause: _Cause, message: str, error: str = "") -> ProbeFailed:
        log.error("worker lost", pid=worker.pid, cause=cause.value, status=worker.status, error=error)
        metrics.WORKERS_REPLACED.labels(cause=cause.value).inc()
        return ProbeFailed(Failure.CRASHED, message)


@asynccontextmanager
async def open_pool(options: PoolOptions) -> AsyncGenerator[WorkerPool, None]:
    """A pool whose workers are gone at the end of the block. None is started yet."""
    pool = WorkerPool(options)
    try:
        yield pool
    finally:
        await pool.close()


def _read(answer: dict[str, Any]) -> Inspection | Missing | Indigestible:
    match answer["kind"]:
        case "video":
            numerator, denominator = answer["aspect"]
            duration = answer["duration"]
            return Inspection(
                width=answer["width"],
                height=answer["height"],
                codec=answer["codec"],
                rotation=answer["rotation"],
                sample_aspect=Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else Fraction(1),
                duration=timedelta(seconds=duration) if duration is not None and duration < 10**9 else None,
                frame_rate=answer["rate"],
            )
        case "missing":
            return Missing(answer["offset"])
        case _:
            return Indigestible(answer["message"], answer["streams"])
