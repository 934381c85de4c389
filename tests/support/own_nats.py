"""A nats-server as an operator configures it, from what `tocsin nats permissions` prints."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nats

from services.cli.runtime.nats_server import find_nats_server
from tests.support.ports import free_port

_SYSTEM = {"user": "auditor", "password": "of-tests"}


class OwnNats:
    """One server; it can be ended and started again with the same data. `routes`: the ports at which the servers of its
    cluster know each other, its own first."""

    def __init__(
        self, directory: Path, accounts: str, routes: Sequence[int] = (), *, sync_interval: str = "always"
    ) -> None:
        directory.mkdir()
        self.port = free_port()
        self._monitor = free_port()
        (directory / "tocsin-accounts.conf").write_text(accounts)
        self._config = directory / "server.conf"
        self._config.write_text(
            f"""
            listen: "127.0.0.1:{self.port}"
            http: "127.0.0.1:{self._monitor}"
            jetstream {{ store_dir: "{directory / "data"}", sync_interval: {sync_interval} }}
            max_payload: 8MB
            system_account: SYS
            accounts {{
                SYS: {{ users: [{json.dumps(_SYSTEM)}] }}
                include tocsin-accounts.conf
            }}
            """
        )
        if routes:
            others = [f"nats://127.0.0.1:{port}" for port in routes]
            with self._config.open("a") as config:
                config.write(f"server_name: n{routes[0]}\n")
                config.write(
                    f"cluster {{ name: own, listen: '127.0.0.1:{routes[0]}', routes: {json.dumps(others)} }}\n"
                )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Its monitoring port."""
        return f"http://127.0.0.1:{self._monitor}"

    def start(self) -> None:
        """Returns once the server takes connections."""
        with (self._config.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen([find_nats_server(), "-c", self._config], stdout=log, stderr=log)
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                log_text = (self._config.parent / "server.log").read_text()
                assert self._process.poll() is None, log_text
                assert time.monotonic() < deadline, log_text
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it; nothing happens when it does not run."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=10)
            self._process = None

    async def users(self) -> set[str]:
        """Who is connected."""
        client = await nats.connect(self.url, **_SYSTEM)
        try:
            answer = await client.request("$SYS.REQ.SERVER.PING.CONNZ", b'{"auth": true}', timeout=5)
        finally:
            await client.close()
        connections: list[dict[str, Any]] = json.loads(answer.data)["data"]["connections"]
        return {connection["authorized_user"] for connection in connections} - {_SYSTEM["user"]}
