"""Which port each part listens on: configured, else remembered, else chosen free; and who holds a taken one."""

import errno
import os
import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes ports for outgoing connections, so that none of those sits on a remembered one.
_AUTOMATIC_PORTS = range(20_000, 32_000)
_ATTEMPTS = 1_000


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port that a part needs: `configured` is what the operator asked for, None to choose one."""

    name: str
    part: str
    variable: str
    host: str = LOOPBACK
    configured: int | None = None
    option: str = ""
    """The option of `tocsin up` that sets it, where there is one."""
    host_variable: str = ""
    """What sets the host, where it can be set."""

    @property
    def chosen_by(self) -> str:
        """How the operator sets it."""
        return f"{self.option} or {self.variable}" if self.option else self.variable


class PortAssignment:
    """A port for every request, by name, and the hold on those that were chosen."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._holds: list[socket.socket] = []

    def hold(self, host: str, port: int) -> bool:
        """Takes an automatic port so that no other mesh chooses it before its part listens; False when it is taken.

        The socket is bound and never listens. Servers, who allow reuse of addresses, can listen beside it; another
        choice, which does not, fails.
        """
        holder = socket.socket(_family(host), socket.SOCK_STREAM)
        try:
            holder.bind((host, port))
        except OSError:
            holder.close()
            return False
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holds.append(holder)
        return True

    def release(self) -> None:
        """Lets go of the ports."""
        for holder in self._holds:
            holder.close()
        self._holds.clear()


def check_addresses(requests: Iterable[PortRequest]) -> None:
    """Raises ConfigurationProblem when a configured port is named twice, or an address is not of this machine."""
    seen: dict[int, PortRequest] = {}
    for request in requests:
        _check_host(request)
        if request.configured is None:
            continue
        if other := seen.get(request.configured):
            raise ConfigurationProblem(
                f"port {request.configured} is asked for twice: {other.chosen_by} and {request.chosen_by}"
            )
        seen[request.configured] = request


def check_configured(requests: Iterable[PortRequest]) -> None:
    """As `check_addresses`, and raises ConfigurationProblem when a configured port is taken."""
    requests = list(requests)
    check_addresses(requests)
    for request in requests:
        if request.configured is not None and not is_free(request.host, request.configured):
            raise ConfigurationProblem(_taken(request, request.configured))


def assign_ports(requests: Iterable[PortRequest], remembered: Mapping[str, int]) -> PortAssignment:
    """A free port for every request. Raises ConfigurationProblem when a configured one is taken or named twice.

    Remembered ports that are taken by now are chosen anew.
    """
    requests = list(requests)
    check_configured(requests)
    assignment = PortAssignment()
    for request in requests:
        if request.configured is not None:
            assignment.ports[request.name] = request.configured
    for request in requests:
        if request.name not in assignment.ports:
            port = remembered.get(request.name)
            taken = assignment.ports.values()
            # One that connections of the last run still linger on cannot be held, but can be listened on.
            if (
                port is None
                or port in taken
                or not (assignment.hold(request.host, port) or is_free(request.host, port))
            ):
                port = _choose(request.host, {*taken, *remembered.values()}, assignment)
            assignment.ports[request.name] = port
    return assignment


def _check_host(request: PortRequest) -> None:
    try:
        with socket.socket(_family(request.host), socket.SOCK_STREAM) as probe:
            probe.bind((request.host, 0))
    except OSError as error:
        named = f"{request.host_variable}: " if request.host_variable else ""
        raise ConfigurationProblem(f"{named}{request.host!r} is no address of this machine: {error.strerror}") from None


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As servers do: closed connections that linger on the port are no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise ConfigurationProblem(f"port {port} needs rights that this user does not have") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise ConfigurationProblem(f"{host!r} is no address of this machine: {error.strerror}") from None
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _choose(host: str, used: set[int], assignment: PortAssignment) -> int:
    for port in random.sample(_AUTOMATIC_PORTS, _ATTEMPTS):
        if port not in used and assignment.hold(host, port):
            return port
    raise ConfigurationProblem(f"no free port on {host} between {_AUTOMATIC_PORTS.start} and {_AUTOMATIC_PORTS.stop}")


def _taken(request: PortRequest, port: int) -> str:
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    return f"the port of {request.part}, {port}, is taken{by}; choose another with {request.chosen_by}"


def port_holder(port: int) -> str | None:
    """The process that listens on a TCP port, as `name (process 123)`; None when /proc does not tell us."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, wanted):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:
                name = "a process"
            return f"{name} (process {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listening = fields[3] == "0A"
            if listening and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(process: Path, wanted: set[str]) -> bool:
    try:
        return any(os.readlink(handle) in wanted for handle in (process / "fd").iterdir())
    except OSError:
        # Ended meanwhile, or another user's.
        return False
