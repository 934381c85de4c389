"""HTTP requests that go only where the guard lets them (see `services.chassis.net_guard`)."""

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from services.chassis.net_guard import AddressBlocked, AddressGuard
from services.chassis.origins import Origin


def guarded_session(
    guard: AddressGuard,
    *,
    agent: str,
    timeout: aiohttp.ClientTimeout,
    connections: int,
    connections_per_host: int = 0,
    auto_decompress: bool = True,
) -> aiohttp.ClientSession:
    """A session with pooled connections, without cookies and proxies. Addresses are judged for each connection, spelt
    out ones and those that names resolve to, and the connection goes to exactly what was judged; each hop of a redirect
    is judged like a request of its own. Requests raise AddressBlocked and NameUnresolved."""

    async def judged(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        # The client asks its resolver for names only, and takes more for an address than is one (`2130706433`).
        try:
            origin = Origin.of(str(request.url))
        except ValueError as error:
            raise AddressBlocked(f"the URL {error}") from error
        if origin.address is not None:
            await guard.addresses(origin.host, origin.port)
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_GuardedResolver(guard),
            use_dns_cache=False,
            limit=connections,
            limit_per_host=connections_per_host,
            # A second family tried in parallel would be a second connection to judge and to close.
            happy_eyeballs_delay=None,
        ),
        middlewares=(judged,),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=auto_decompress,
        trust_env=False,
        headers={"User-Agent": agent},
    )


class _GuardedResolver(AbstractResolver):
    """Gives the HTTP client the addresses that the guard has judged."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressBlocked or NameUnresolved."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""
