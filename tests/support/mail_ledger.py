"""A mail server in a thread of its own, which takes everything and keeps account of it."""

import asyncio
import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

_HEADER = re.compile(rb"^(Message-ID|To): (.*?)\r$", re.MULTILINE)
_DATE = re.compile(rb"^Date: .*?\r\n", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """An e-mail: whom it went to, and a digest of all of it but its date."""

    recipient: str
    digest: str


@dataclass
class MailLedger:
    """`pause` is how long the server thinks about each e-mail, between having it and saying so (seconds)."""

    pause: float = 0.0
    port: int = 0
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    """By Message-ID, each e-mail that was taken."""

    @property
    def taken(self) -> int:
        """How many e-mails there were."""
        return sum(map(len, list(self.entries.values())))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 ledger\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb.startswith(b"EHLO"):
                    writer.write(b"250-ledger\r\n250-PIPELINING\r\n250 SIZE\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    self._take(await reader.readuntil(b"\r\n.\r\n"))
                    await asyncio.sleep(self.pause)
                    writer.write(b"250 2.0.0 taken\r\n")
                else:
                    writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, content: bytes) -> None:
        head = content.partition(b"\r\n\r\n")[0] + b"\r\n"
        headers = {name: value.decode() for name, value in _HEADER.findall(head)}
        digest = hashlib.sha256(_DATE.sub(b"", content, count=1)).hexdigest()
        self.entries[headers[b"Message-ID"]].append(Entry(headers[b"To"], digest))

    async def _run(self, ready: threading.Event, stopped: asyncio.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stopped.wait()
        server.close()


@contextmanager
def mail_ledger(pause: float = 0.0) -> Generator[MailLedger]:
    """Serves during the block."""
    ledger, ready = MailLedger(pause), threading.Event()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(ledger._run(ready, stopped),), daemon=True)  # pyright: ignore[reportPrivateUsage]
    thread.start()
    try:
        assert ready.wait(10)
        yield ledger
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()
