"""Origins of URLs, and the list of origins and networks that an operator allows. Standard library only, no I/O."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# RFC 1035, section 2.3.4.
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(:[0-9]*)?")


@lru_cache(maxsize=1024)
def literal(host: str) -> IPAddress | None:
    """The address that a host spells out; None for a name. The same few are asked about with each request."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


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
        if not host or "%" in host or not _AUTHORITY.fullmatch(parts.netloc):
            raise ValueError("has no valid host")
        if len(host) > _LONGEST_NAME or any(not 1 <= len(label) <= _LONGEST_LABEL for label in host.split(".")):
            raise ValueError("has a host that is no name")
        if ":" in host or _numeric(host):
            address = literal(host)
            if address is None:
                raise ValueError("has an address in a form that is not accepted")
            host = str(address)
        try:
            port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
        except ValueError:
            port = 0
        if not port:
            raise ValueError("has no valid port")
        return cls(parts.scheme, host, port)

    @property
    def address(self) -> IPAddress | None:
        """The address, where the host is one and not a name."""
        return literal(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")


@dataclass(frozen=True, slots=True)
class Targets:
    """Origins and networks that an operator has named."""

    origins: frozenset[Origin] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Targets":
        """Origins (`http://receiver.internal:9000`) and networks (`10.1.0.0/16`), separated by commas. Raises
        ValueError about the first that is neither."""
        origins: set[Origin] = set()
        networks: list[IPNetwork] = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            try:
                if "://" not in part:
                    networks.append(ipaddress.ip_network(part))
                else:
                    origins.add(_bare_origin(part))
            except ValueError as error:
                raise ValueError(f"has {part!r}: {error}") from None
        return cls(frozenset(origins), tuple(networks))

    @classmethod
    def of(cls, origins: Iterable[Origin]) -> "Targets":
        """These origins, and no network."""
        return cls(frozenset(origins))

    def __or__(self, other: "Targets") -> "Targets":
        return Targets(self.origins | other.origins, self.networks + other.networks)

    def __contains__(self, origin: object) -> bool:
        """Whether this origin is named, or spells out an address in one of the networks."""
        if not isinstance(origin, Origin):
            return False
        address = origin.address
        return origin in self.origins or (address is not None and self.cover(address))

    def cover(self, address: IPAddress) -> bool:
        """Whether the address is in one of the networks."""
        return any(address in network for network in self.networks)


def _numeric(host: str) -> bool:
    # 127.1, 2130706433 and 0x7f.1 are addresses to some resolvers.
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


def _bare_origin(url: str) -> Origin:
    origin, parts = Origin.of(url), urlsplit(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"must be an origin, like {origin}")
    return origin
