"""Which addresses a service may call on somebody else's behalf (videos of alerts, webhooks of customers).

A URL that comes from outside must not reach what only we can reach: loopback, private networks, link-local addresses
(cloud metadata lives there), multicast. A name is judged by the addresses that it resolves to at the moment of
connecting, and the connection goes to exactly those: hand `AddressGuard.addresses` to the HTTP client as its resolver,
never resolve again.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.chassis.errors import PermissionDenied, Unavailable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Name and port to addresses as text. Raises OSError when the name does not resolve."""

RESOLVE_SECONDS: Final = 3.0
"""A resolver that takes longer counts as one that does not know the name."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressBlocked(PermissionDenied):
    """The target resolves to an address that must not be called."""

    reason = "BLOCKED_TARGET"


class NameUnresolved(Unavailable):
    """The host name does not resolve at the moment."""

    reason = "NAME_UNRESOLVED"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, no brackets) and port: what decides who answers a URL."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an absolute http(s) URL. Raises ValueError for other schemes, user names, and hosts that a URL
        parser and a resolver could read differently."""
        if not url.isascii() or not url.isprintable() or any(c in url for c in ' \\"<>^`{|}'):
            raise ValueError("has characters that a URL must not have")
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("must start with http:// or https://")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not carry a user name or a password")
        host = (parts.hostname or "").rstrip(".")
        if not host or "%" in host:
            raise ValueError("has no valid host")
        if ":" in host or _numeric(host):
            try:
                host = str(ipaddress.ip_address(host))
            except ValueError:
                raise ValueError("has an address in a form that is not accepted") from None
        return cls(parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme])

    @property
    def address(self) -> IPAddress | None:
        """The address, where the host is one and not a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")


def address_problem(address: IPAddress) -> str | None:
    """What keeps an address from being called by default, as one word; None for a public unicast address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return address_problem(inner)
    checks = (
        ("unspecified", address.is_unspecified),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("private", address.is_private),
        ("reserved", address.is_reserved or not address.is_global),
    )
    return next((name for name, applies in checks if applies), None)


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses of the operating system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class AddressGuard:
    """Resolves and judges. `private` are the origins that the operator trusts to be loopback or private; link-local and
    multicast addresses are allowed only where such an origin spells the address out. Every address in one of `networks`
    is allowed, whatever its name and port."""

    def __init__(
        self,
        private: Iterable[Origin] = (),
        *,
        networks: Iterable[IPNetwork] = (),
        resolve: Resolve = system_resolve,
    ) -> None:
        self._private = frozenset((origin.host, origin.port) for origin in private)
        self._networks = tuple(networks)
        self._resolve = resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. Raises NameUnresolved, or AddressBlocked if any of them is forbidden (a mixed
        answer is a trick)."""
        trusted = (host, port) in self._private
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            literal = None
        if literal is not None:
            if not trusted and (problem := self._problem(literal)):
                raise AddressBlocked(f"the address is {problem}", metadata={"host": host})
            return [host]
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolve(host, port)
        except OSError as error:
            raise NameUnresolved(f"the name {host} does not resolve", metadata={"host": host}) from error
        if not found:
            raise NameUnresolved(f"the name {host} has no address", metadata={"host": host})
        for text in found:
            problem = self._problem(ipaddress.ip_address(text.partition("%")[0]))
            if problem is not None and not (trusted and problem in ("loopback", "private")):
                raise AddressBlocked(f"the name {host} leads to a {problem} address", metadata={"host": host})
        return found

    def _problem(self, address: IPAddress) -> str | None:
        if any(address in network for network in self._networks):
            return None
        return address_problem(address)


def _numeric(host: str) -> bool:
    # 127.1, 2130706433 and 0x7f.1 are addresses to some resolvers.
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
