"""A token issuer for development, tests and the demo: a key pair in a directory, never for production.

issuer = DevIssuer.open(state / "auth")          # makes the key pair once, writes jwks.json
token = issuer.mint(["readings:write"], ttl=timedelta(hours=1), tenants=["acme"], subject="me")
"""

import json
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis.auth.principal import EVERYTHING

ISSUER: Final = "https://tocsin.local"
AUDIENCE: Final = "tocsin"
_KEY_FILE: Final = "dev-issuer.pem"
_JWKS_FILE: Final = "jwks.json"


@dataclass(frozen=True)
class DevIssuer:
    """Mints ES256 tokens with the private key of its directory; `jwks_file` is what services verify them by."""

    jwks_file: Path
    issuer: str
    audience: str
    _key: ec.EllipticCurvePrivateKey
    _kid: str

    @classmethod
    def open(cls, directory: Path, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> "DevIssuer":
        """The issuer of `directory`, with its key pair made there first if there is none (private key: mode 0600).

        Raises ValueError when the key's file holds no such key.
        """
        directory.mkdir(parents=True, exist_ok=True)
        pem = directory / _KEY_FILE
        if not pem.exists():
            _create(pem, _new_key())
        try:
            key = serialization.load_pem_private_key(pem.read_bytes(), password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{pem} holds no key that can be used: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{pem} holds no elliptic curve key")
        kid = _key_id(key)
        jwk: dict[str, Any] = jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key(), as_dict=True)  # pyright: ignore[reportUnknownMemberType]
        document = json.dumps({"keys": [{**jwk, "kid": kid, "alg": "ES256", "use": "sig"}]}, indent=1).encode()
        jwks_file = directory / _JWKS_FILE
        if not jwks_file.exists() or jwks_file.read_bytes() != document:
            _replace(jwks_file, document)
        return cls(jwks_file, issuer, audience, key, kid)

    def mint(
        self,
        scopes: list[str] | tuple[str, ...] = (EVERYTHING,),
        *,
        ttl: timedelta = timedelta(hours=1),
        tenants: list[str] | tuple[str, ...] = (EVERYTHING,),
        subject: str = "developer",
    ) -> str:
        """A signed token. By default it may do everything, for an hour. A negative `ttl` gives an expired one."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": now,
            "exp": now + int(ttl.total_seconds()),
            "jti": uuid4().hex,
            "scope": " ".join(scopes),
            "tenants": list(tenants),
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._kid})


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_id(key: ec.EllipticCurvePrivateKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return digest.finalize().hex()[:16]


def _create(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read. Two processes that race agree on the first one's content."""
    draft = _draft(path, content, 0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first; its key is the key
    finally:
        draft.unlink()


def _replace(path: Path, content: bytes) -> None:
    os.replace(_draft(path, content, 0o644), path)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    return draft
