"""An identity provider for tests: publishes its keys over HTTPS and signs tokens; can be told to misbehave."""

import json
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ISSUER = "https://id.example/realms/plant"
AUDIENCE = "plant"


class Provider:
    """`behaviour` is what is answered instead of the keys: `500`, `garbage`, `empty`, `huge`, `redirect` or `slow`."""

    def __init__(self, ca_file: Path) -> None:
        self.ca_file = ca_file
        self.port = 0
        self.behaviour = ""
        self.asked = 0
        self._keys: dict[str, tuple[Any, str]] = {}
        self.done = threading.Event()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/jwks"

    def add(self, kid: str, algorithm: str = "ES256") -> None:
        """Publishes a new key."""
        if algorithm.startswith("ES"):
            self._keys[kid] = ec.generate_private_key(ec.SECP256R1()), algorithm
        else:
            self._keys[kid] = rsa.generate_private_key(65537, 2048), algorithm

    def remove(self, kid: str) -> None:
        """Publishes a key no more."""
        del self._keys[kid]

    def sign(self, kid: str, **claims: object) -> str:
        """A token for everything, good for ten minutes; `claims` change it."""
        key, algorithm = self._keys[kid]
        now = int(time.time())
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now,
            "exp": now + 600,
            "jti": time.time_ns(),
        }
        content |= {"jti": str(content["jti"]), "scope": "*", "tenants": ["*"], **claims}
        return jwt.encode(content, key, algorithm=algorithm, headers={"kid": kid})

    def jwks(self) -> bytes:
        """What is published."""
        entries = []
        for kid, (key, algorithm) in self._keys.items():
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
            entries.append({**public, "kid": kid, "alg": algorithm, "use": "sig"})
        return json.dumps({"keys": entries}).encode()


@contextmanager
def running_provider(directory: Path) -> Generator[Provider]:
    """A provider on a free port of this machine, with a certificate of an authority of its own."""
    provider = Provider(directory / "ca.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            status, body = 200, provider.jwks()
            match provider.behaviour:
                case "500":
                    status = 500
                case "garbage":
                    body = b"<html>maintenance</html>"
                case "empty":
                    body = b'{"keys": []}'
                case "huge":
                    body = b" " * (4 << 20) + body
                case "redirect":
                    status = 302
                case "slow":
                    provider.done.wait(60)
                case _:
                    pass
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/jwks")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who gives up waiting is nobody's fault."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(directory))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        provider.done.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(directory: Path) -> Path:
    """One for `localhost`, with its key in the same file; beside it that of the authority."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of tests")])
    (directory / "ca.pem").write_bytes(_signed(name, name, authority, authority, ca=True))
    server = _signed(x509.Name([]), name, key, authority, ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(server + private)
    return directory / "server.pem"


def _signed(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(names, critical=True)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
