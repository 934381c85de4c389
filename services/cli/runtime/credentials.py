"""Secrets and tokens of a mesh: made once, kept in the state directory."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.nats_accounts import CLI_USER, RUNTIME_USER, SYSTEM_USER, outside_users
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.state import StateDir

if TYPE_CHECKING:
    from services.chassis.auth.dev_issuer import DevIssuer

PEER_AUDIENCE = "tocsin-peers"
"""As services.chassis.auth.trust has it, which takes long to load."""
_AUDIENCE = "audience"
_PEER_TOKEN_TTL = timedelta(days=30)
_PEER_TOKEN_RENEWAL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords by user or role, and the files that services verify and show tokens with."""

    postgres: dict[str, str]
    nats: dict[str, str]
    jwks_file: Path
    peer_token_files: dict[str, Path]
    link_key_file: Path
    upload_key_file: Path


def ensure_credentials(
    state: StateDir, services: tuple[str, ...], tenants: tuple[str, ...], *, own_postgres: bool = True
) -> Credentials:
    """Everything a mesh needs, made where missing; renews the services' tokens when they have aged or are damaged.

    Raises RuntimeProblem when what cannot be made anew is damaged or lost; nothing is changed then.
    """
    roles = (SUPERUSER, *services)
    users = _nats_users(services, tenants)
    if own_postgres:
        _check_cluster_secrets(state)
    known = state.ensure_secrets([*(f"postgres.{role}" for role in roles), *(f"nats.{user}" for user in users)])
    tokens = peer_token_files(state, services)
    recorded = state.read_derived(_record_file(state))
    changed = [path for path in _signed_files(state, services) if _digest(path) != recorded.get(path.name)]
    if changed or recorded.get(_AUDIENCE) != PEER_AUDIENCE or any(_aged(path) for path in tokens.values()):
        # Before the mesh is told of them: a damaged key ends the start.
        renew_peer_tokens(state, services)
        state.remade += [_told(path) for path in changed if path.name in recorded]
    return Credentials(
        postgres={role: known[f"postgres.{role}"] for role in roles},
        nats={user: known[f"nats.{user}"] for user in users},
        jwks_file=_jwks_file(state),
        peer_token_files=tokens,
        link_key_file=_ensure_key(state, _link_key_file(state)),
        upload_key_file=_ensure_key(state, _upload_key_file(state)),
    )


def known_credentials(state: StateDir, services: tuple[str, ...], tenants: tuple[str, ...]) -> Credentials:
    """What is there of a mesh's credentials; nothing is made. What is missing (`missing_secrets`) is empty."""
    known = state.known_secrets()
    return Credentials(
        postgres={role: known.get(f"postgres.{role}", "") for role in (SUPERUSER, *services)},
        nats={user: known.get(f"nats.{user}", "") for user in _nats_users(services, tenants)},
        jwks_file=_jwks_file(state),
        peer_token_files=peer_token_files(state, services),
        link_key_file=_link_key_file(state),
        upload_key_file=_upload_key_file(state),
    )


def missing_secrets(state: StateDir, services: tuple[str, ...], tenants: tuple[str, ...]) -> list[str]:
    """Names of the secrets that a mesh needs and the state directory does not hold."""
    known = state.known_secrets()
    names = [*(f"postgres.{service}" for service in services), *(f"nats.{u}" for u in _nats_users(services, tenants))]
    return [name for name in names if name not in known]


def peer_token_files(state: StateDir, services: tuple[str, ...]) -> dict[str, Path]:
    """Where each service finds the token that it shows to its peers."""
    return {service: state.credentials / f"{service}.jwt" for service in services}


def ensure_nats_passwords(state: StateDir, services: tuple[str, ...], tenants: tuple[str, ...]) -> dict[str, str]:
    """The passwords at NATS by user, made where missing; also for a directory on which no mesh has been yet."""
    state.check()
    state.create()
    users = _nats_users(services, tenants)
    known = state.ensure_secrets(f"nats.{user}" for user in users)
    return {user: known[f"nats.{user}"] for user in users}


def renew_peer_tokens(state: StateDir, services: tuple[str, ...], life: timedelta = _PEER_TOKEN_TTL) -> None:
    """Writes each service the token that it shows to its peers; makes the signing key first where there is none."""
    issuer = open_issuer(state, audience=PEER_AUDIENCE)
    for service in services:
        token = issuer.mint(ttl=life, subject=f"service:{service}")
        state.write_text(state.credentials / f"{service}.jwt", token)
    digests = {path.name: _digest(path) for path in _signed_files(state, services)}
    state.write_json(_record_file(state), {**digests, _AUDIENCE: PEER_AUDIENCE})


def _nats_users(services: tuple[str, ...], tenants: tuple[str, ...]) -> tuple[str, ...]:
    return (RUNTIME_USER, SYSTEM_USER, CLI_USER, *services, *outside_users(tenants))


def open_issuer(state: StateDir, **options: str) -> "DevIssuer":
    """The mesh's issuer of tokens (`options` as of `DevIssuer.open`); raises RuntimeProblem when its key is damaged."""
    # Only when needed: cryptography takes a while to load.
    from services.chassis.auth.dev_issuer import DevIssuer

    try:
        return DevIssuer.open(state.auth, **options)
    except ValueError:
        raise RuntimeProblem(
            f"{signing_key(state)} is damaged: it holds no private key; put it back from a backup, or delete it: "
            "the next start makes a new one, and tokens signed before are refused"
        ) from None


def signing_key(state: StateDir) -> Path:
    """The file of the key that tokens are signed with."""
    return state.auth / "dev-issuer.pem"


def _check_cluster_secrets(state: StateDir) -> None:
    """Before new secrets are made: they would hide that those of the cluster are lost."""
    if state.postgres.is_dir() and f"postgres.{SUPERUSER}" not in state.known_secrets():
        raise RuntimeProblem(
            f"the passwords of the PostgreSQL cluster in {state.postgres} are lost: {state.secrets_file} does not hold "
            "them; put it back from a backup, or start a new mesh with another --state-dir"
        )


def _record_file(state: StateDir) -> Path:
    """Digests of what was signed and by what, so that a warm start need not load cryptography to know it for good."""
    return state.run / "signed.json"


def _jwks_file(state: StateDir) -> Path:
    return state.auth / "jwks.json"


def _signed_files(state: StateDir, services: tuple[str, ...]) -> list[Path]:
    return [signing_key(state), _jwks_file(state), *(state.credentials / f"{service}.jwt" for service in services)]


def _ensure_key(state: StateDir, path: Path) -> Path:
    """What signs links and URLs. Operators rotate it: put a new line in front."""
    if not path.exists():
        state.write_text(path, f"{secrets.token_urlsafe(32)}\n")
    return path


def _link_key_file(state: StateDir) -> Path:
    return state.credentials / "links.keys"


def _upload_key_file(state: StateDir) -> Path:
    return state.credentials / "uploads.keys"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _told(path: Path) -> str:
    if path.suffix == ".pem":
        return f"{path} is another key than before: tokens signed before are refused"
    return f"{path} was damaged or lost"


def write_outside_credentials(state: StateDir, nats_url: str, whose: str, user: str, password: str) -> Path:
    """The file that an operator hands to a downstream team or puts on a gateway: variables for a shell or an env
    file."""
    path = state.credentials / f"{whose}.env"
    lines = {"NATS_URL": nats_url, "NATS_USER": user, "NATS_PASSWORD": password}
    state.write_text(path, "".join(f"{name}={value}\n" for name, value in lines.items()))
    return path


def _aged(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _PEER_TOKEN_RENEWAL.total_seconds()
    except FileNotFoundError:
        return True
