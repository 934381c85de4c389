"""Several processes of one service on one gRPC port.

The parent spawns workers by exec (gRPC does not survive a fork), keeps the port reserved, restarts a dead worker, and
serves /metrics (summed), /livez and /readyz for all. Workers die with the parent (PR_SET_PDEATHSIG), also when it is
killed. A worker that keeps dying ends the parent with status 1.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from services.chassis.settings import ChassisSettings, split_address
from services.chassis.telemetry.logs import get_logger

_VARIABLE: Final = "TOCSIN_WORKER"
_PR_SET_PDEATHSIG: Final = 1
_MAX_DEATHS: Final = 5
_DEATHS_WITHIN: Final = 60.0
_LEAST_BACKOFF, _MOST_BACKOFF = 0.1, 5.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """This process as a worker: its number, and the pipe on which it tells the parent whether it serves."""

    index: int
    pipe: int

    def report(self, serving: bool) -> None:
        """Tells the parent. A parent that is gone is no error here: the process is about to get its signal."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.pipe, b"1" if serving else b"0")


def current() -> Worker | None:
    """This process as a worker, tied to its parent's life; None when it is none."""
    if not (value := os.environ.get(_VARIABLE)):
        return None
    index, parent, pipe = (int(part) for part in value.split(":"))
    die_with_parent(parent)
    return Worker(index, pipe)


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Has the kernel send `number` to this process when its parent dies; exits if `parent` is gone already. Linux only,
    nothing elsewhere."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit(1)


@dataclass(slots=True)
class _Child:
    index: int
    process: asyncio.subprocess.Process | None = None
    serving: bool = False
    deaths: deque[float] = field(default_factory=lambda: deque[float](maxlen=_MAX_DEATHS))


def supervise(settings: ChassisSettings) -> int:
    """Runs `settings.grpc_workers` workers until a signal; returns the exit status."""
    return asyncio.run(_Supervisor(settings).run())


class _Supervisor:
    def __init__(self, settings: ChassisSettings) -> None:
        self._settings = settings
        self._children = [_Child(index) for index in range(settings.grpc_workers)]
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        metrics_dir = tempfile.mkdtemp(prefix="tocsin-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_dir
        try:
            with _reserve(self._settings) as reserved:
                address = f"{_host(self._settings)}:{reserved.getsockname()[1]}"
                async with contextlib.AsyncExitStack() as stack:
                    if self._settings.metrics_listen:
                        from services.chassis.telemetry.http import OpsEndpoint

                        host, port = split_address(self._settings.metrics_listen)
                        await stack.enter_async_context(OpsEndpoint(host, port, self._problems))
                    async with asyncio.TaskGroup() as group:
                        for child in self._children:
                            group.create_task(self._keep(child, address), name=f"worker {child.index}")
        finally:
            shutil.rmtree(metrics_dir, ignore_errors=True)
        return self._exit_code

    def _problems(self) -> dict[str, str]:
        return {f"worker {child.index}": "is not serving" for child in self._children if not child.serving}

    async def _keep(self, child: _Child, address: str) -> None:
        backoff = _LEAST_BACKOFF
        while not self._stopping.is_set():
            status = await self._live(child, address)
            if self._stopping.is_set():
                return
            now = time.monotonic()
            log.error("worker died", worker=child.index, status=status)
            hopeless = len(child.deaths) == _MAX_DEATHS and now - child.deaths[0] < _DEATHS_WITHIN
            child.deaths.append(now)
            if status == 2 or hopeless:
                log.critical("worker keeps dying", worker=child.index)
                self._exit_code = status if status == 2 else 1
                self._stopping.set()
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
            backoff = min(backoff * 2, _MOST_BACKOFF)

    async def _live(self, child: _Child, address: str) -> int:
        """One life of a worker: returns its exit status, after asking it to stop when the parent stops."""
        reading, writing = os.pipe()
        try:
            environment = {
                **os.environ,
                _VARIABLE: f"{child.index}:{os.getpid()}:{writing}",
                "TOCSIN_GRPC_LISTEN": address,
            }
            child.process = process = await asyncio.create_subprocess_exec(
                sys.executable, *sys.orig_argv[1:], env=environment, pass_fds=(writing,)
            )
        finally:
            os.close(writing)
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, partial(self._heard, child, reading))
        stopping = asyncio.create_task(self._stopping.wait())
        exited = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([stopping, exited], return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                await self._end(process, exited)
            return await exited
        finally:
            stopping.cancel()
            child.serving = False
            loop.remove_reader(reading)
            os.close(reading)
            self._forget(process.pid)

    async def _end(self, process: asyncio.subprocess.Process, exited: "asyncio.Task[int]") -> None:
        process.send_signal(signal.SIGTERM)
        patience = self._settings.stop_grace.total_seconds() + 20.0
        await asyncio.wait([exited], timeout=patience)
        if not exited.done():
            log.error("worker does not stop; killed", pid=process.pid, within=patience)
            process.kill()
            self._exit_code = 1
        if await exited != 0:
            self._exit_code = self._exit_code or 1

    @staticmethod
    def _heard(child: _Child, reading: int) -> None:
        if said := os.read(reading, 64):
            child.serving = said.endswith(b"1")
        else:
            asyncio.get_running_loop().remove_reader(reading)

    @staticmethod
    def _forget(pid: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, os.environ["PROMETHEUS_MULTIPROC_DIR"])


def _host(settings: ChassisSettings) -> str:
    return settings.grpc_listen.rpartition(":")[0]


def _reserve(settings: ChassisSettings) -> socket.socket:
    """A socket that holds the port without listening. Raises OSError if anybody else has it."""
    host, port = split_address(settings.grpc_listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        with socket.socket(
            family, socket.SOCK_STREAM
        ) as alone:  # an exclusive bind: shared ones would hide a neighbour
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
    reserved = socket.socket(family, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((host, port))
    return reserved
