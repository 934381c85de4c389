"""What the demo asks of the edge, over REST, and how it waits for what happens behind it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from services.cli.client import answer

if TYPE_CHECKING:
    import httpx

_WAIT_SECONDS = 60.0


class Edge:
    """The client of the steps. Calls raise CommandError when they are refused."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self.client = client

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a JSON body."""
        return answer(await self.client.post(path, json=body))

    async def get(self, path: str) -> dict[str, Any]:
        """The resource."""
        return answer(await self.client.get(path))

    @asynccontextmanager
    async def subscribed(self, url: str, event_types: list[str]) -> AsyncGenerator[str]:
        """Webhooks of the events to `url` during the block, which gets their secret; none is left behind."""
        made = await self.post("/v1/webhookSubscriptions", {"url": url, "eventTypes": event_types})
        try:
            yield made["secret"]
        finally:
            response = await self.client.delete(f"/v1/webhookSubscriptions/{made['id']}")
            response.raise_for_status()

    async def until(
        self, path: str, good: Callable[[dict[str, Any]], bool], timeout: float = _WAIT_SECONDS
    ) -> dict[str, Any]:
        """The resource once it is good. Raises TimeoutError."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            result = await self.get(path)
            if good(result):
                return result
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{path} did not come to the expected state in {timeout:.0f} s: {result}")
            await asyncio.sleep(0.1)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until the condition holds. Raises TimeoutError."""
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{what} did not arrive in {_WAIT_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
