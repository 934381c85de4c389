"""The secrets of a deployment: a state directory, which the operator keeps, and what each part gets of it as files.

Files whose names are variables are read through TOCSIN_SECRETS_DIR; settings name the others by their path.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.deployment import places
from services.cli.runtime.credentials import (
    Credentials,
    ensure_credentials,
    renew_peer_tokens,
    write_outside_credentials,
)
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.nats_accounts import outside_users
from services.cli.runtime.nats_address import NATS_PASSWORD_VARIABLE, NATS_URL_VARIABLE, NATS_USER_VARIABLE
from services.cli.runtime.own_nats import accounts_block
from services.cli.runtime.postgres_address import read_dsn, with_login
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.settings import (
    POSTGRES_DSN_VARIABLE,
    SERVICES,
    RuntimeSettings,
    part_name,
    read_environment,
    read_settings,
)
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.version import tocsin_version

MESH = "mesh"
"""The state directory: secrets.json and the signing key. Everything else is made from it."""
SECRETS_FILE = "secrets.json"
PEER_TOKEN = "peer.jwt"  # noqa: S105 - the name of a file
JWKS = "jwks.json"
LINK_KEYS = "links.keys"
UPLOAD_KEYS = "uploads.keys"
ACCOUNTS = "accounts.conf"
PASSWORD = "password"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class WrittenSecrets:
    """The names of each part's files, and when the services' tokens for each other expire."""

    directory: Path
    parts: Mapping[str, tuple[str, ...]]
    tokens_expire: datetime


def write_secrets(directory: Path, environment: Mapping[str, str], token_life: timedelta) -> WrittenSecrets:
    """Makes what is missing of a deployment's secrets, signs the services' tokens anew, and writes each part's files.

    The directory is closed to others; what is in it is not, for containers run as users of their own and are given the
    directory of their part alone. Files are replaced in one step, and services that run read their tokens again. Raises
    RuntimeProblem.
    """
    environment = _with_places(read_environment(environment))
    _claim(directory)
    state = StateDir(directory / MESH)
    state.check()
    state.create()
    state.acquire()
    try:
        settings = read_settings(state.root, {}, environment=environment)
        credentials = ensure_credentials(state, SERVICES, settings.tenants, own_postgres=False)
        renew_peer_tokens(state, SERVICES, token_life)
        expire = datetime.now(UTC) + token_life
        parts = _parts(state, settings, credentials)
        for part, files in parts.items():
            for name, content in files.items():
                _put(directory / part / name, content)
    finally:
        state.release()
    return WrittenSecrets(directory, {part: tuple(files) for part, files in parts.items()}, expire)


def _with_places(environment: Mapping[str, str]) -> dict[str, str]:
    defaults = {POSTGRES_DSN_VARIABLE: places.POSTGRES_DSN, NATS_URL_VARIABLE: places.NATS_URL}
    return {**defaults, **{name: text for name, text in environment.items() if text or name not in defaults}}


def _claim(directory: Path) -> None:
    """Makes the directory; refuses one that has other things in it, or that others may look into."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = os.listdir(directory)
        mode = directory.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigurationProblem(f"{directory} cannot be used: {error.strerror}") from None
    if names and MESH not in names:
        raise ConfigurationProblem(
            f"{directory} holds other things than the secrets of a deployment (like {min(names)!r}) and was left as it "
            "is; name a new or an empty directory"
        )
    if mode & 0o077:
        raise ConfigurationProblem(
            f"others may look into {directory} (mode {mode:o}), so secrets are not safe there; 'chmod 700' it"
        )


def _parts(state: StateDir, settings: RuntimeSettings, credentials: Credentials) -> dict[str, dict[str, str]]:
    """Contents by part and name."""
    parts: dict[str, dict[str, str]] = {}
    login = read_dsn(settings.postgres_dsn, POSTGRES_DSN_VARIABLE)
    if not urlsplit(settings.postgres_dsn).password:
        password = credentials.postgres[SUPERUSER]
        settings = replace(settings, postgres_dsn=with_login(settings.postgres_dsn, login.user or SUPERUSER, password))
        parts["postgres"] = {PASSWORD: password}
    memory = StreamMemory(state, lambda _where, _what: None, settings.names)
    mesh = Mesh(settings, state, {}, credentials, tocsin_version(), memory, prepared=False)
    if settings.nats_user:
        shared = {NATS_USER_VARIABLE: settings.nats_user, NATS_PASSWORD_VARIABLE: settings.nats_password}
    else:
        shared = {}
        parts["nats"] = {ACCOUNTS: accounts_block(SERVICES, settings.tenants, credentials.nats, settings.names)}
    keys = credentials.jwks_file.read_text()
    parts["migrate"] = {
        POSTGRES_DSN_VARIABLE: settings.postgres_dsn,
        **shared,
        SECRETS_FILE: state.secrets_file.read_text(),
    }
    for service in SERVICES:
        token = credentials.peer_token_files[service].read_text()
        parts[part_name(service)] = {**mesh.service_logins(service), PEER_TOKEN: token, JWKS: keys}
    parts["notification"][LINK_KEYS] = credentials.link_key_file.read_text()
    parts["ingestion"][UPLOAD_KEYS] = credentials.upload_key_file.read_text()
    parts["envoy"] = {JWKS: keys}
    for user in outside_users(settings.tenants):
        if given := mesh.outside_login(user):
            write_outside_credentials(state, mesh.nats_url, user, *given)
    return parts


def _put(path: Path, content: str) -> None:
    """Replaces a file in one step; whoever gets into its directory may read it."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(content, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)
