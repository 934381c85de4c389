"""A real HTTP server that receives webhooks, and answers as a test says."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook


@dataclass(frozen=True)
class Hook:
    """One post."""

    headers: dict[str, str]
    body: str
    path: str

    def verify(self, secret: str) -> Any:
        """The body; raises WebhookVerificationError unless it is signed with the secret."""
        return Webhook(secret).verify(self.body, dict(self.headers))

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]


Answer = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """What came, and what to answer next (then 204)."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list[Hook])
    answers: deque[Answer] = field(default_factory=deque[Answer])
    before_answer: Callable[[], Awaitable[None]] | None = None
    """Awaited when a post is noted, and nothing is said yet."""

    async def handle(self, request: web.Request) -> web.Response:
        """Notes the post."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hooks.append(Hook(headers, await request.text(), request.path))
        if self.before_answer is not None:
            await self.before_answer()
        status, more = self.answers.popleft() if self.answers else (204, {})
        return web.Response(status=status, headers=more)


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """Serves during the block."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
