"""The state directory: one mesh's lock, secrets, ports, logs and data. Survives restarts; closed to others.

Its small files are of two kinds. What can be made anew (ports, status, addresses...) never stops a start: a damaged one
counts as absent, and `remade` tells of it. What cannot (secrets, keys) is refused by name.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.ownership import check_directory, make_directory

DEFAULT_STATE_DIR = ".tocsin"
STATE_DIR_VARIABLE = "TOCSIN_STATE_DIR"
_LOCK_ATTEMPTS = 5
_LOCK_PAUSE_SECONDS = 0.05


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
        self.spool = root / "spool"
        self.status_file = self.run / "status.json"
        self.instance_file = self.run / "instance.json"
        self.prometheus_file = self.run / "prometheus.json"
        self._lock_file = root / "lock"
        self.secrets_file = root / "secrets.json"
        self._ports_file = root / "ports.json"
        self._lock: int | None = None
        self.unstopped: int | None = None
        """The process id of the last supervisor, where that ended without giving the directory free."""
        self.remade: list[str] = []
        """What was found damaged and is made anew, a line for people each."""

    def command(self, name: str) -> str:
        """How to call a command of `tocsin` for the directory, from the shell that this process was started in."""
        if self.root == state_dir_path(None):
            return f"tocsin {name}"
        return f"tocsin {name} --state-dir {_quoted(str(self.root))}"

    def check(self) -> bool:
        """Whether a mesh has used the directory before; raises ConfigurationProblem when it is not for one."""
        return check_directory(self.root)

    def create(self) -> None:
        """Makes what is missing of the directory, closed to others. Call `check` before."""
        make_directory(self.root, (self.logs, self.run, self.auth, self.credentials, self.nats, self.spool))

    def acquire(self) -> None:
        """Claims the directory for this process until it ends; raises ConfigurationProblem when another has it.

        `unstopped` then tells of a last one that was killed.
        """
        handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # Commands that only look (`in_use`) hold it for a moment.
                if attempt < _LOCK_ATTEMPTS - 1:
                    time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            os.close(handle)
            raise self.taken()
        # Whoever gives the directory free takes its number out.
        self.unstopped = self.holder()
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle

    def taken(self) -> ConfigurationProblem:
        """What is told when another mesh is up on the directory."""
        by = f" (process {holder})" if (holder := self.holder()) else ""
        return ConfigurationProblem(
            f"a mesh is already up on state directory {self.root}{by}; stop it with '{self.command('stop')}', "
            "or use another --state-dir and --port"
        )

    @property
    def in_use(self) -> bool:
        """Whether a supervisor, this process included, holds the directory."""
        if self._lock is not None:
            return True
        try:
            handle = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigurationProblem(f"state directory {self.root} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def holder(self) -> int | None:
        """The process id of the supervisor that holds the directory; None when none has told."""
        try:
            return int(self._lock_file.read_text())
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Gives the directory free."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def ensure_secrets(self, names: Iterable[str]) -> dict[str, str]:
        """A random secret for each name, made where missing; the others in the file are kept."""
        known = self.known_secrets()
        missing = [name for name in names if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            self.write_json(self.secrets_file, known)
        return known

    def known_secrets(self) -> dict[str, str]:
        """The secrets made at earlier starts, by name; raises RuntimeProblem when the file is damaged."""
        try:
            stored = self.read_json(self.secrets_file)
        except RuntimeProblem as error:
            raise RuntimeProblem(
                f"{error.message}; it cannot be made anew: put it back from a backup, "
                "or start a new mesh with another --state-dir"
            ) from None
        return {name: value for name, value in stored.items() if isinstance(value, str)}

    def secret(self, name: str) -> str:
        """A secret that a start has made; raises RuntimeProblem when it is not there."""
        try:
            return self.known_secrets()[name]
        except KeyError:
            raise RuntimeProblem(f"{self.secrets_file} does not hold {name}; put it back from a backup") from None

    def remembered_ports(self) -> dict[str, int]:
        """The ports chosen at earlier starts, by name."""
        stored = self.read_derived(self._ports_file)
        good = {name: port for name, port in stored.items() if type(port) is int and 1 <= port <= 65535}
        if len(good) < len(stored):
            self.remade.append(f"{self._ports_file} held no port for {', '.join(sorted(stored.keys() - good))}")
        return good

    def remember_ports(self, ports: dict[str, int]) -> None:
        """Keeps the ports for the next start."""
        self.write_json(self._ports_file, ports)

    def read_json(self, path: Path) -> dict[str, Any]:
        """The object in a file of the directory, empty when there is none; raises RuntimeProblem when damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RuntimeProblem(f"{path} cannot be read: {error.strerror}") from error
        except ValueError:
            raise RuntimeProblem(f"{path} is damaged: it is {_no_json(path)}") from None
        if not isinstance(content, dict):
            raise RuntimeProblem(f"{path} is damaged: no JSON object")
        return content  # pyright: ignore[reportUnknownVariableType] - keys of a JSON object are text

    def read_derived(self, path: Path) -> dict[str, Any]:
        """As `read_json`, for what can be made anew: empty when damaged, which `remade` then tells."""
        try:
            return self.read_json(path)
        except RuntimeProblem as error:
            self.remade.append(error.message)
            return {}

    def write_json(self, path: Path, content: object, *, durable: bool = True) -> None:
        """Replaces a file in one step, readable by the owner only; `durable` ones survive a power cut."""
        self.write_text(path, json.dumps(content, indent=2) + "\n", durable=durable)

    def write_text(self, path: Path, content: str, *, durable: bool = True) -> None:
        """As `write_json`, for text."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        # What a process of this id left; whoever puts something there again is not obeyed.
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise


def _no_json(path: Path) -> str:
    return "no JSON" if path.stat().st_size else "empty"


def _quoted(path: str) -> str:
    """For a shell. Hints stand between single quotes themselves, so these are not used where others will do."""
    quoted = shlex.quote(path)
    return quoted if quoted == path or set('"$`\\!') & set(path) else f'"{path}"'
