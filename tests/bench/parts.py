"""Servers and services for the small benchmarks, each a process of its own, and what CPU they use."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection, TopologyOptions, ensure_streams, open_nats
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, Schemas

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and NATS as in production: every commit and every stored message reaches the disk."""

    root: Path
    postgres: PostgresServer
    broker: NatsServer
    dsn: str
    nats: NatsConnection
    issuer: DevIssuer


@asynccontextmanager
async def servers(schemas: Schemas) -> AsyncIterator[Servers]:
    """Both servers, with the schemas and the streams."""
    with tempfile.TemporaryDirectory(prefix="tocsin-micro-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "pg").mkdir()
        postgres, broker = PostgresServer(root / "pg", {}), NatsServer(root / "nats", syncs=True)
        postgres.start()
        broker.start()
        try:
            async with postgres.database(schemas) as dsn, open_nats(broker.url, name="bench") as nats:
                await ensure_streams(nats, TopologyOptions())
                yield Servers(root, postgres, broker, dsn, nats, DevIssuer.open(root / "auth"))
        finally:
            broker.stop()
            postgres.stop()


@dataclass(frozen=True)
class Part:
    """A running service."""

    name: str
    pid: int
    port: int


@contextmanager
def service(where: Servers, name: str, settings: Mapping[str, str], *, profile: str = "") -> Iterator[Part]:
    """Runs `python -m services.<name>` until the end of the block; returns once it says SERVING. `settings` are its own
    (`CONCURRENCY`), `profile` a file for the output of cProfile."""
    port = free_port()
    log = where.root / f"{name}.log"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TOCSIN_POSTGRES_DSN": where.dsn,
        "TOCSIN_NATS_URL": where.broker.url,
        "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
        "TOCSIN_AUTH_JWKS_FILE": str(where.issuer.jwks_file),
        **{f"TOCSIN_{name.upper()}_{key}": value for key, value in settings.items()},
    }
    command = [sys.executable, "-m", f"services.{name}"]
    if profile:
        command[1:1] = ["-m", "cProfile", "-o", profile]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while '"serving": true' not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield Part(name, process.pid, port)
    finally:
        process.terminate()
        process.wait(30)


def option(name: str) -> str:
    """What the command line says with `--name=`; empty when it says nothing."""
    start = f"--{name}="
    return next((one.removeprefix(start) for one in sys.argv if one.startswith(start)), "")


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of CPU that a process, and its children (those that have ended among them), have used."""
    process = psutil.Process(pid)
    own, others = process.cpu_times(), [one.cpu_times() for one in process.children(recursive=True)]
    children = sum(one.user + one.system for one in others) + own.children_user + own.children_system
    return own.user + own.system, children


class CpuMeter:
    """What CPU processes have used since it was made."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = {name: cpu(pid) for name, pid in pids.items()}

    def each(self, count: int) -> str:
        """Milliseconds for each of `count`, by process; what its children used is told behind it."""
        total, shares = 0.0, list[str]()
        for name, pid in self._pids.items():
            own, children = (
                (now - before) / count * 1000 for now, before in zip(cpu(pid), self._before[name], strict=True)
            )
            total += own + children
            shares.append(f"{name} {own:.2f}" + (f" + {children:.2f}" if children >= 0.005 else ""))
        return ", ".join((*shares, f"all {total:.2f}"))


async def wait_idle(*pids: int) -> None:
    """Returns once the processes use hardly any CPU (what they do when they start is over)."""
    before = [sum(cpu(pid)) for pid in pids]
    while True:
        await asyncio.sleep(0.5)
        now = [sum(cpu(pid)) for pid in pids]
        if sum(now) - sum(before) < 0.03 * len(pids):
            return
        before = now
