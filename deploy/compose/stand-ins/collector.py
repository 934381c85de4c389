"""Takes traces over OTLP/HTTP on port 4318, and tells on each batch how many bytes came."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """POST /v1/traces."""

    def do_POST(self) -> None:
        """Takes a batch."""
        size = len(self.rfile.read(int(self.headers.get("content-length", 0))))
        print(f"{self.path} {size} bytes")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


ThreadingHTTPServer(("", 4318), Handler).serve_forever()
