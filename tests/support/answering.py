"""An HTTP server that answers as a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class AnsweringServer:
    """Gives one answer (status, body) after the other to every GET, the last one for good."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "{}")])
    asked: list[str] = field(default_factory=list[str])

    def next_answer(self, path: str) -> tuple[int, str]:
        self.asked.append(path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def answering_server() -> Iterator[AnsweringServer]:
    """A server on a free port of loopback, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answering.next_answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the output is the test's own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answering = AnsweringServer(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield answering
        server.shutdown()
        thread.join()
