"""Pins the connections of aiohttp to addresses that the guard has judged (see `services.chassis.net_guard`)."""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from services.chassis.net_guard import AddressGuard


class GuardedResolver(AbstractResolver):
    """Gives the HTTP client the addresses that the guard has vetted. The client asks for names only: whoever uses it
    judges addresses that are spelled out in URLs itself."""

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
