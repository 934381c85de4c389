"""What the embedded NATS server says of itself, asked over NATS by the user of its system account.

There is no monitoring port: that has no login, so every process on the machine could read it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.cli.runtime.nats_accounts import SYSTEM_USER

if TYPE_CHECKING:
    from nats.aio.client import Client

_CLOSE_SECONDS = 0.5


class NatsSilent(Exception):
    """The server cannot be reached, or does not answer as it should; says why in a few words."""


@dataclass(frozen=True, slots=True)
class NatsLogin:
    """Where the server is, and who asks."""

    url: str
    user: str
    password: str


class NatsSession:
    """A connection that is opened when it is first needed and given up after the first trouble with it."""

    def __init__(self, login: NatsLogin) -> None:
        self._login = login
        self._client: Client | None = None

    async def request(self, subject: str, payload: bytes, *, within: float) -> bytes | None:
        """The answer; None when nobody takes the subject. Raises NatsSilent."""
        import nats
        import nats.errors

        try:
            async with asyncio.timeout(within):
                if self._client is None or not self._client.is_connected:
                    await self.close()
                    self._client = await nats.connect(
                        self._login.url,
                        user=self._login.user,
                        password=self._login.password,
                        name="tocsin-runtime",
                        allow_reconnect=False,
                        connect_timeout=2,
                        error_cb=_ignore,
                    )
                answer = await self._client.request(subject, payload, timeout=within)
        except nats.errors.NoRespondersError:
            return None
        except TimeoutError:
            await self.close()
            raise NatsSilent(f"does not answer within {within:g} s") from None
        except (nats.errors.Error, OSError) as error:
            await self.close()
            raise NatsSilent(f"the connection failed: {error}") from error
        except BaseException:
            await self.close()
            raise
        return answer.data

    async def close(self) -> None:
        """Gives the connection up, if there is one. Bounded in time."""
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            # A server that hangs takes no farewell.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.close()


class NatsMonitor:
    """The server's own account of itself. Every question raises NatsSilent when it is not answered in time."""

    def __init__(self, url: str, password: str) -> None:
        self._session = NatsSession(NatsLogin(url, SYSTEM_USER, password))

    async def trouble(self, within: float = 2.0) -> str:
        """What the server finds wrong with itself (a stream that cannot be written, for one); empty: nothing."""
        health = await self._ask("HEALTHZ", {}, within)
        if health.get("status") == "ok":
            return ""
        return str(health.get("error") or health.get("status") or "no reason is given")

    async def streams(self, *, consumers: bool = False, within: float = 3.0) -> dict[str, Any]:
        """JetStream's accounts and streams, as /jsz has them."""
        return await self._ask("JSZ", {"accounts": True, "streams": True, "consumer": consumers, "limit": 1024}, within)

    async def close(self) -> None:
        """Ends the connection."""
        await self._session.close()

    async def _ask(self, what: str, question: dict[str, Any], within: float) -> dict[str, Any]:
        answer = await self._session.request(
            f"$SYS.REQ.SERVER.PING.{what}", json.dumps(question).encode(), within=within
        )
        if answer is None:
            raise NatsSilent("the server does not answer for itself: it has no system account")
        content = json.loads(answer)
        if error := content.get("error"):
            raise NatsSilent(f"{what} is answered with: {error.get('description', error)}")
        return content.get("data") or {}


@asynccontextmanager
async def nats_monitor(url: str, password: str) -> AsyncGenerator[NatsMonitor]:
    """A monitor for some questions."""
    monitor = NatsMonitor(url, password)
    try:
        yield monitor
    finally:
        await monitor.close()


async def _ignore(_error: Exception) -> None:
    """What goes wrong reaches the one who asks; the client would also log it with a traceback."""
