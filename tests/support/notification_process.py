"""The notification service as a process of its own, to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import PeerChannel, connect
from tests.support.ports import free_port


class ServiceProcess:
    """One replica."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    async def kill(self) -> None:
        """kill -9; returns once it is gone, and its children with it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        await self.process.wait()
        await asyncio.to_thread(psutil.wait_procs, children, timeout=5)
        assert not [child for child in children if child.is_running()], "children outlive the service"


@asynccontextmanager
async def service_process(
    dsn: str, nats_url: str, issuer: DevIssuer, log: Path, **more: object
) -> AsyncIterator[ServiceProcess]:
    """Runs `python -m services.notification` during the block; `more` are its own settings."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TOCSIN_POSTGRES_DSN": dsn,
        "TOCSIN_NATS_URL": nats_url,
        "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
        "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
        "TOCSIN_NOTIFICATION_TENANTS": "test",
        "TOCSIN_NOTIFICATION_ALLOWED_TARGETS": "127.0.0.0/8",
        "TOCSIN_NOTIFICATION_MAIL_FROM": "bell@tocsin.test",
        **{f"TOCSIN_NOTIFICATION_{name.upper()}": str(value) for name, value in more.items()},
    }
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notification", env=environment, stdout=sink, stderr=sink
        )
    try:
        yield ServiceProcess(process, port)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await process.wait()
            assert process.returncode == 0, log.read_text()


@asynccontextmanager
async def channel_to(service: ServiceProcess, issuer: DevIssuer) -> AsyncIterator[PeerChannel]:
    """A channel that is connected."""
    token = issuer.mint()
    async with connect(f"127.0.0.1:{service.port}", token=lambda: token) as channel:
        async with asyncio.timeout(20):
            await channel.ready()
        yield channel
