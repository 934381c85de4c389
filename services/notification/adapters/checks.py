"""`CheckClient` over HTTP: asks only where the guard lets it, follows no redirect, and believes only a clear answer."""

import json
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, cast

import aiohttp

from services.chassis.guarded_http import guarded_session
from services.chassis.net_guard import AddressBlocked, AddressGuard, NameUnresolved
from services.notification.application.reminders.ports import CheckServerFailed, Unanswered

MAX_ANSWER: Final = 64 * 1024
_AGENT: Final = "Tocsin/1.0"
_OK: Final = 200
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500


class HttpChecks:
    """Pooled connections, up to `connections` to each server."""

    def __init__(self, guard: AddressGuard, *, servers: int, connections: int) -> None:
        self._guard = guard
        self._servers = servers
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = guarded_session(
            self._guard,
            agent=_AGENT,
            timeout=aiohttp.ClientTimeout(),
            connections=max(self._servers, 1) * self._connections,
            connections_per_host=self._connections,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, url: str, timeout: timedelta) -> bool:
        """See CheckClient."""
        assert self._session is not None
        within = aiohttp.ClientTimeout(total=timeout.total_seconds())
        try:
            async with self._session.get(url, allow_redirects=False, timeout=within) as response:
                if response.status == _TOO_MANY or response.status >= _SERVER_ERRORS:
                    raise CheckServerFailed(f"HTTP_{response.status}")
                if response.status != _OK:
                    raise Unanswered(f"HTTP_{response.status}")
                return _taken(await _whole(response))
        except TimeoutError as error:
            raise CheckServerFailed("TIMEOUT", f"no answer within {timeout.total_seconds():g} s") from error
        except NameUnresolved as error:
            raise CheckServerFailed("NAME_UNRESOLVED", error.message) from error
        except (AddressBlocked, aiohttp.InvalidURL) as error:
            raise CheckServerFailed("ADDRESS_BLOCKED", str(error)) from error
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
            raise CheckServerFailed("NO_CONNECTION", type(error).__name__) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: of headers that no HTTP client can read.
            raise CheckServerFailed("BROKEN_ANSWER", type(error).__name__) from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise CheckServerFailed("TOO_LARGE", f"more than {MAX_ANSWER} bytes")
    return bytes(body)


def _taken(body: bytes) -> bool:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CheckServerFailed("NOT_JSON", "the answer is no JSON") from error
    taken = cast(dict[str, Any], answer).get("taken") if isinstance(answer, dict) else None
    if not isinstance(taken, bool):
        raise CheckServerFailed("NO_VERDICT", "the answer is no JSON object whose `taken` is true or false")
    return taken
