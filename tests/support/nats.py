"""A real nats-server with JetStream for tests, on a free port, with its data in a temporary directory."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.ports import free_port


class NatsServer:
    """One server process. It can be killed and started again on the same port with the same data."""

    def __init__(self, directory: Path, *, syncs: bool = False) -> None:
        """With `syncs` it stores as in production: on the disk before it acknowledges."""
        self._directory = directory
        self._sync_interval = "always" if syncs else "2m"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self._directory / "server.log").read_text()

    def start(self) -> None:
        """Returns once the server takes connections."""
        config = self._directory / "server.conf"
        config.write_text(
            f"""
            listen: "127.0.0.1:{self.port}"
            max_payload: 1MB
            jetstream {{
                store_dir: "{self._directory / "data"}"
                sync_interval: "{self._sync_interval}"
                max_memory_store: 256MB
                max_file_store: 100GB
            }}
            """
        )
        binary = Path(sys.executable).parent / "nats-server"
        with (self._directory / "server.log").open("ab") as log:
            # In a group of its own, as under a supervisor: tests let it stand still.
            self._process = subprocess.Popen([binary, "-c", config], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nats-server did not start:\n{self.log}") from None
                time.sleep(0.01)

    def cut_stream(self, name: str, keep: float = 0.5) -> None:
        """What a power cut may do while the server is down: the last block of the stream loses its end."""
        messages = self._directory / "data" / "jetstream" / "$G" / "streams" / name / "msgs"
        (messages / "index.db").unlink(missing_ok=True)
        block = max(messages.glob("*.blk"), key=lambda path: int(path.stem))
        os.truncate(block, int(block.stat().st_size * keep))

    def kill(self) -> None:
        """Ends it like a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it in order; nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def send_raw(url: str, commands: bytes, *, user: str = "", password: str = "") -> str:
    """Sends the commands as they are over a connection of its own; what the server said, once it has taken them all."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        login = {"user": user, "pass": password} if user else {}
        hello = {"verbose": False, "pedantic": False, "headers": True, "protocol": 1, "lang": "raw", "version": "1"}
        # The server speaks first; one that is spoken to before may hang up.
        said = await reader.readline()
        writer.write(b"CONNECT %s\r\n%sPING\r\n" % (json.dumps(hello | login).encode(), commands))
        await writer.drain()
        while b"PONG\r\n" not in said:
            more = await reader.read(65536)
            if not more:
                break
            said += more
        return said.decode("utf-8", "backslashreplace")
    finally:
        writer.close()
        await writer.wait_closed()
