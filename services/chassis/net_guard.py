"""Which addresses a service may call on somebody else's behalf (videos of alerts, webhooks of customers).

A URL that comes from outside must not reach what only we can reach: loopback, private networks, link-local addresses
(cloud metadata lives there), multicast. These are refused unless the operator has named them. Where the mesh itself
listens is refused whatever the operator has named. A name is judged by the addresses that it resolves to at the moment
of connecting, and the connection goes to exactly those: `services.chassis.guarded_http` sees to that for HTTP.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Final

from services.chassis.errors import PermissionDenied, Unavailable
from services.chassis.name_resolver import SECONDS, NameResolver
from services.chassis.origins import IPAddress, Targets, literal

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Name and port to addresses as text. Raises OSError when the name does not resolve."""

# Whose last 32 bits are an IPv4 address: mapped, compatible, translated (RFC 2765), NAT64 (RFC 6052).
_EMBEDDING: Final = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))

# Ours and not `ipaddress.is_private`, `is_reserved` and `is_global`: those differ between patch releases of Python.
_PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "2001:db8::/32", "fc00::/7", "fec0::/10"),
        ),
    )
)
_RESERVED: Final = tuple(
    map(ipaddress.ip_network, ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20"))
)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # of IPv6 all else is reserved


class AddressBlocked(PermissionDenied):
    """The target leads to an address that must not be called."""

    reason = "BLOCKED_TARGET"


class MeshBlocked(AddressBlocked):
    """The target leads to where the mesh itself listens."""


class NameUnresolved(Unavailable):
    """The host name does not resolve at the moment."""

    reason = "NAME_UNRESOLVED"


@lru_cache(maxsize=1024)
def address_problem(address: IPAddress) -> str | None:
    """What keeps an address from being called by default, as one word; None for a public unicast address."""
    address = plain(address)
    checks = (
        ("unspecified", address.is_unspecified),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("private", any(address in network for network in _PRIVATE)),
        ("reserved", any(address in network for network in _RESERVED)),
        ("reserved", address.version == 6 and address not in _GLOBAL_UNICAST),
    )
    return next((name for name, applies in checks if applies), None)


def plain(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address carries, where it carries one; else the address itself."""
    if not isinstance(address, ipaddress.IPv6Address) or address.is_unspecified or address.is_loopback:
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_own(address: IPAddress) -> bool:
    """Whether a connection to the address stays on this machine: loopback, unspecified, or of one of its interfaces."""
    address = plain(address)
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing. To a machine's own address the kernel goes from that very address.
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
        except OSError:
            return False


class AddressGuard:
    """Resolves and judges.

    `allowed` origins may be loopback or private; link-local and multicast addresses are allowed only where such an
    origin spells the address out. Every address in one of the `allowed` networks is allowed, whatever its name and
    port. `mesh` are the hosts and ports where the mesh itself listens: nothing allows those, by whatever name.
    `resolve` stands in for the system's resolver.
    """

    def __init__(
        self,
        allowed: Targets = Targets(),  # noqa: B008 - a constant
        *,
        mesh: Iterable[tuple[str, int]] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._named = frozenset((origin.host, origin.port) for origin in allowed.origins)
        self._allowed = allowed
        self._mesh: dict[int, set[str]] = {}
        for host, port in mesh:
            self._mesh.setdefault(port, set()).add(host)
        self._resolve = resolve or NameResolver()

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. Raises NameUnresolved, or AddressBlocked (MeshBlocked) if any of them is
        forbidden: a mixed answer is a trick."""
        host = host.rstrip(".")
        found = await self._resolved(host, port)
        spelt_out = literal(host) is not None
        for text in found:
            address = literal(text) or ipaddress.ip_address(text)
            await self._refuse_mesh(host, port, address)
            problem = None if self._allowed.cover(address) else address_problem(address)
            trusted = (host, port) in self._named and (spelt_out or problem in ("loopback", "private"))
            if problem is not None and not trusted:
                leads = f"the address is {problem}" if spelt_out else f"the name {host} leads to a {problem} address"
                raise AddressBlocked(leads, metadata={"host": host})
        return found

    async def refuse_mesh(self, host: str, port: int) -> None:
        """Judges only whether the mesh itself listens there. Raises MeshBlocked if so, and NameUnresolved."""
        if port in self._mesh:
            for text in await self._resolved(host, port):
                await self._refuse_mesh(host, port, ipaddress.ip_address(text))

    async def _refuse_mesh(self, host: str, port: int, address: IPAddress) -> None:
        for own in self._mesh.get(port, ()):
            try:
                listening = await self._resolved(own, port)
            except NameUnresolved as error:
                # Without the name of our own server: callers read this.
                unknown = f"it cannot be told now whether Tocsin itself listens on port {port} of {host}"
                raise NameUnresolved(unknown, metadata={"host": host}) from error
            for text in listening:
                listens = ipaddress.ip_address(text)
                if plain(listens) == plain(address) or (is_own(listens) and is_own(address)):
                    raise MeshBlocked(f"Tocsin itself listens on port {port} of {host}", metadata={"host": host})

    async def _resolved(self, host: str, port: int) -> list[str]:
        if literal(host) is not None:
            return [host]
        try:
            async with asyncio.timeout(SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # the latter of names that no resolver is even asked for
            raise NameUnresolved(f"the name {host} does not resolve", metadata={"host": host}) from error
        if not found:
            raise NameUnresolved(f"the name {host} has no address", metadata={"host": host})
        return found
