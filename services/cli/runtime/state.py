"""The state directory: one mesh's lock, secrets, ports, logs and data. Survives restarts; 0700, secrets 0600."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem

DEFAULT_STATE_DIR = ".tocsin"
STATE_DIR_VARIABLE = "TOCSIN_STATE_DIR"


def state_dir_path(option: Path | None) -> Path:
    """The directory asked for by option, else by variable, else `.tocsin` below the current one; absolute."""
    return (option or Path(os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR)).absolute()


class StateDir:
    """Names of everything in the directory, and reading and writing of its small files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.run = root / "run"
        self.auth = root / "auth"
        self.credentials = root / "credentials"
        self.postgres = root / "postgres"
        self.nats = root / "nats"
        self.status_file = self.run / "status.json"
        self.instance_file = self.run / "instance.json"
        self._lock_file = root / "lock"
        self._secrets_file = root / "secrets.json"
        self._ports_file = root / "ports.json"
        self._lock: int | None = None

    def create(self) -> None:
        """Makes the directories; closes them to others."""
        try:
            for directory in (self.root, self.logs, self.run, self.auth, self.credentials, self.nats):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                directory.chmod(0o700)
        except OSError as error:
            raise ConfigurationProblem(f"state directory {self.root} cannot be used: {error.strerror}") from error

    def acquire(self) -> None:
        """Claims the directory for this process until it ends; raises ConfigurationProblem when another has it."""
        handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode().strip()
            os.close(handle)
            by = f" (process {holder})" if holder else ""
            raise ConfigurationProblem(
                f"a mesh is already up on state directory {self.root}{by}; "
                "stop it, or use another --state-dir and --port"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle

    @property
    def in_use(self) -> bool:
        """Whether a supervisor, this process included, holds the directory."""
        if self._lock is not None:
            return True
        try:
            handle = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def release(self) -> None:
        """Gives the directory free."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def ensure_secrets(self, names: Iterable[str]) -> dict[str, str]:
        """A random secret for each name, made where missing; the others in the file are kept."""
        known = _strings(self.read_json(self._secrets_file))
        missing = [name for name in names if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            self.write_json(self._secrets_file, known)
        return known

    def remembered_ports(self) -> dict[str, int]:
        """The ports chosen at earlier starts, by name."""
        stored = self.read_json(self._ports_file)
        return {name: port for name, port in stored.items() if isinstance(port, int)}

    def remember_ports(self, ports: dict[str, int]) -> None:
        """Keeps the ports for the next start."""
        self.write_json(self._ports_file, ports)

    def read_json(self, path: Path) -> dict[str, Any]:
        """The object in a file of the directory, empty when there is none; raises RuntimeProblem when damaged."""
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RuntimeProblem(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise RuntimeProblem(f"{path} is damaged: no JSON object")
        return content  # pyright: ignore[reportUnknownVariableType] - keys of a JSON object are text

    def write_json(self, path: Path, content: object, *, durable: bool = True) -> None:
        """Replaces a file in one step, readable by the owner only; `durable` ones survive a power cut."""
        self.write_text(path, json.dumps(content, indent=2) + "\n", durable=durable)

    def write_text(self, path: Path, content: str, *, durable: bool = True) -> None:
        """As `write_json`, for text."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise


def _strings(stored: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in stored.items() if isinstance(value, str)}
