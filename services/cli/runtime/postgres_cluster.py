"""One PostgreSQL cluster in a directory: how to make it, how to run it, how to clear up after a crash.

Gives commands and leaves running them to the caller: the supervisor runs them under its watch, tests by themselves.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.identity import Identity, postgres_identity
from services.cli.runtime.postgres_binaries import PostgresBinaries, find_postgres

SUPERUSER = "tocsin_admin"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_LEFTOVER_BUDGET_SECONDS = 10.0

# For a machine of two cores that also runs everything else. Durability is never traded: fsync, full_page_writes and
# synchronous_commit stay on. Checkpoints are far apart so that bulk loads do not write every page twice.
DEFAULT_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "effective_cache_size": "1GB",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_buffers": "16MB",
        "min_wal_size": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u ",
    }
)


@dataclass(frozen=True, slots=True)
class PostgresCluster:
    """A cluster in `data_dir` that listens on 127.0.0.1:`port`; `identity` is the user that it runs as (None: ours)."""

    data_dir: Path
    port: int
    binaries: PostgresBinaries
    identity: Identity | None
    settings: Mapping[str, str] = field(default_factory=lambda: DEFAULT_SETTINGS)

    @classmethod
    def at(cls, data_dir: Path, port: int, settings: Mapping[str, str] = MappingProxyType({})) -> "PostgresCluster":
        """The cluster with the programs and the user found; `settings` override the defaults."""
        binaries = find_postgres()
        identity = postgres_identity(data_dir.absolute(), binaries.postgres)
        return cls(data_dir.absolute(), port, binaries, identity, {**DEFAULT_SETTINGS, **settings})

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made: it is put there when whole."""
        return self.data_dir.is_dir()

    @property
    def _unfinished(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.new")

    @property
    def _password_file(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.password")

    def prepare_initdb(self, superuser_password: str) -> tuple[str, ...]:
        """Lays out what initdb needs and returns its command; call `finish_initdb` after it succeeded.

        The cluster is made beside its place and moved there when whole, so that an interrupted start leaves nothing
        half made behind.
        """
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(mode=0o700, parents=True)
        self._password_file.unlink(missing_ok=True)
        handle = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(superuser_password)
        if self.identity is not None:
            os.chown(self._unfinished, self.identity.uid, self.identity.gid)
            os.chown(self._password_file, self.identity.uid, self.identity.gid)
        return (
            str(self.binaries.initdb),
            f"--pgdata={self._unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )

    def finish_initdb(self) -> None:
        """Puts the finished cluster into its place."""
        self._password_file.unlink()
        self._unfinished.rename(self.data_dir)

    def clear_initdb(self) -> None:
        """Removes the password, and the unfinished cluster, that an initdb left which did not succeed."""
        self._password_file.unlink(missing_ok=True)
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def server_command(self) -> tuple[str, ...]:
        """The command of the server, in the foreground, logging to standard error."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        return (str(self.binaries.postgres), "-D", str(self.data_dir), f"-p{self.port}", *options)

    def launched(self, command: tuple[str, ...], death_signal: signal.Signals = signal.SIGQUIT) -> tuple[str, ...]:
        """`command` wrapped so that it runs as `identity` and gets `death_signal` when this process dies.

        SIGQUIT is PostgreSQL's immediate shutdown: safe, and over at once.
        """
        identity = self.identity.as_argument() if self.identity else "-"
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER))
        return (*launcher, str(os.getpid()), str(int(death_signal)), identity, *command)

    def clear_leftovers(self) -> None:
        """After a crash: ends a server that still holds the directory and removes a stale lock file.

        Only call while no supervisor can be running. PostgreSQL itself refuses to start when an unrelated process
        has got the process id that the stale file names. Blocks for at most 10 seconds.
        """
        lock_file = self.data_dir / "postmaster.pid"
        try:
            pid = int(lock_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        deadline = time.monotonic() + _LEFTOVER_BUDGET_SECONDS
        while self._runs_here(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            if time.monotonic() > deadline:
                raise RuntimeProblem(f"PostgreSQL of an earlier run (process {pid}) does not end; stop it by hand")
            time.sleep(0.02)
        lock_file.unlink(missing_ok=True)

    def _runs_here(self, pid: int) -> bool:
        try:
            # A server's working directory is its data directory.
            return Path(f"/proc/{pid}/cwd").resolve(strict=True) == self.data_dir.resolve()
        except OSError:
            return False
