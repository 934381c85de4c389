"""The world outside of the demo, on loopback: a video server, a mail server, a receiver of webhooks, and a server that
knows who has taken their medication."""

import asyncio
import email
import email.policy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.runtime.ports import LOOPBACK

if TYPE_CHECKING:
    from aiohttp import web
    from aiosmtpd.smtp import Envelope, Session


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail that the mail server took."""

    recipient: str
    subject: str
    attachments: tuple[str, ...]
    attachment_bytes: int
    html: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook that was received; `verified` when its signature is right."""

    event_id: str
    type: str
    data: dict[str, Any]
    verified: bool


# Without slots: aiosmtpd looks at every member of its handler, which fails on slots in early releases of Python 3.11.
@dataclass
class World:
    """Addresses of the servers, and what reached them."""

    videos: Path
    video_server: str = ""
    smtp_port: int = 0
    webhook_origin: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    check_url: str = ""
    taken: set[str] = field(default_factory=set[str])
    """Users who have taken their medication."""
    mails: list[Mail] = field(default_factory=list[Mail])
    hooks: list[Hook] = field(default_factory=list[Hook])

    async def handle_DATA(self, _server: object, _session: "Session", envelope: "Envelope") -> str:
        """Takes an e-mail (the name is aiosmtpd's)."""
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        message = email.message_from_bytes(content, policy=email.policy.default)
        attachments = list(message.iter_attachments())
        sizes = [len(part.get_payload(decode=True) or b"") for part in attachments]
        self.mails.append(
            Mail(
                recipient=", ".join(envelope.rcpt_tos),
                subject=str(message["subject"]),
                attachments=tuple(part.get_filename() or "" for part in attachments),
                attachment_bytes=sum(sizes),
                html=_html(message),
            )
        )
        return "250 OK"

    async def tell_taken(self, request: "web.Request") -> "web.Response":
        """Whether a user has taken their medication."""
        from aiohttp import web

        return web.json_response({"taken": request.query["user"] in self.taken})

    async def receive_webhook(self, request: "web.Request") -> "web.Response":
        """Takes a webhook, checks its signature and notes it."""
        from aiohttp import web
        from standardwebhooks import Webhook, WebhookVerificationError

        body = await request.text()
        try:
            content: dict[str, Any] = Webhook(self.webhook_secret).verify(body, dict(request.headers))
            verified = True
        except WebhookVerificationError:
            content, verified = {}, False
        self.hooks.append(
            Hook(request.headers.get("webhook-id", ""), content.get("type", ""), content.get("data", {}), verified)
        )
        return web.Response(status=204 if verified else 401)


def _html(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    return "" if part is None else str(part.get_content())


@asynccontextmanager
async def open_world(videos: Path, host: str = LOOPBACK) -> AsyncGenerator[World]:
    """Starts the servers on free ports of an address of this machine and stops them at the end."""
    from aiohttp import web
    from aiosmtpd.smtp import SMTP

    world = World(videos)
    app = web.Application()
    # aiohttp serves files with Range, If-Range and Content-Range.
    app.router.add_static("/videos", videos)
    app.router.add_post("/hook", world.receive_webhook)
    app.router.add_get("/taken", world.tell_taken)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    smtp = await asyncio.get_running_loop().create_server(
        lambda: SMTP(world, hostname="mail.demo", enable_SMTPUTF8=True), host, 0
    )
    try:
        http_port = runner.addresses[0][1]
        world.video_server = f"http://{host}:{http_port}"
        world.webhook_origin = world.video_server
        world.check_url = f"{world.webhook_origin}/taken?user={{user}}&at={{occurrence}}"
        world.webhook_url = f"{world.webhook_origin}/hook"
        world.smtp_port = smtp.sockets[0].getsockname()[1]
        yield world
    finally:
        smtp.close()
        await runner.cleanup()
