"""Secrets and tokens of a mesh: made once, kept in the state directory."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.cli.runtime.nats_accounts import CLI_USER, DOWNSTREAM_USER, GATEWAY_USER, RUNTIME_USER
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.state import StateDir

_PEER_TOKEN_TTL = timedelta(days=30)
_PEER_TOKEN_RENEWAL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords by user or role, and the files that services verify and show tokens with."""

    postgres: dict[str, str]
    nats: dict[str, str]
    jwks_file: Path
    peer_token_files: dict[str, Path]


def ensure_credentials(state: StateDir, services: tuple[str, ...]) -> Credentials:
    """Everything a mesh needs, made where missing; renews the services' tokens when they have aged."""
    roles = (SUPERUSER, *services)
    users = (RUNTIME_USER, CLI_USER, DOWNSTREAM_USER, GATEWAY_USER, *services)
    known = state.ensure_secrets([*(f"postgres.{role}" for role in roles), *(f"nats.{user}" for user in users)])
    tokens = {service: state.credentials / f"{service}.jwt" for service in services}
    jwks_file = state.auth / "jwks.json"
    if not jwks_file.exists() or any(_aged(path) for path in tokens.values()):
        renew_peer_tokens(state, services)
    return Credentials(
        postgres={role: known[f"postgres.{role}"] for role in roles},
        nats={user: known[f"nats.{user}"] for user in users},
        jwks_file=jwks_file,
        peer_token_files=tokens,
    )


def renew_peer_tokens(state: StateDir, services: Iterable[str]) -> None:
    """Writes each service the token that it shows to its peers; makes the signing key first where there is none."""
    # Only when needed: cryptography takes a while to load.
    from services.chassis.auth.dev_issuer import DevIssuer

    issuer = DevIssuer.open(state.auth)
    for service in services:
        token = issuer.mint(ttl=_PEER_TOKEN_TTL, subject=f"service:{service}")
        state.write_text(state.credentials / f"{service}.jwt", token)


def write_outside_credentials(state: StateDir, nats_url: str, user: str, password: str) -> Path:
    """The file that an operator hands to a downstream team or puts on a gateway: variables for a shell or an env
    file."""
    path = state.credentials / f"{user}.env"
    lines = {"NATS_URL": nats_url, "NATS_USER": user, "NATS_PASSWORD": password}
    state.write_text(path, "".join(f"{name}={value}\n" for name, value in lines.items()))
    return path


def _aged(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _PEER_TOKEN_RENEWAL.total_seconds()
    except FileNotFoundError:
        return True
