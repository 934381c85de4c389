"""How commands reach a mesh that is up: over REST through the edge, and NATS as the operator.

    mesh = open_mesh(state_dir)                     # CommandError (exit code 3) when no mesh is up
    with mesh.http() as client:                     # httpx.Client, base_url the edge, a token in its headers
        response = client.post("/v1/readings", json={...})
    async with mesh.nats() as nc:                   # nats-py Client of the account MESH (user `cli`)
        await nc.subscribe(mesh.names.subject("tocsin.>"))

Functions that speak to the mesh raise CommandError with one line; commands need no try/except of their own.
"""

import json
import os
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.chassis.mesh_names import MeshNames
from services.cli.errors import CommandError
from services.cli.output import in_larger_units
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.state import StateDir, state_dir_path

if TYPE_CHECKING:
    import httpx
    from nats.aio.client import Client

EDGE_URL_VARIABLE = "TOCSIN_EDGE_URL"
TOKEN_VARIABLE = "TOCSIN_TOKEN"  # noqa: S105 - the name of it
_TOKEN_TTL = timedelta(minutes=15)
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class MeshClient:
    """One running mesh, as the commands see it."""

    instance: Instance
    state: StateDir

    @property
    def names(self) -> MeshNames:
        """What its subjects are called on NATS."""
        return MeshNames(self.instance.nats_prefix)

    def token(
        self,
        scopes: list[str] | None = None,
        *,
        ttl: timedelta = _TOKEN_TTL,
        tenants: list[str] | None = None,
        subject: str = "cli",
    ) -> str:
        """The token in TOCSIN_TOKEN, where that is set; else one signed with the mesh's development key, which by
        default may do everything. Raises CommandError where the mesh does not take those."""
        if given := os.environ.get(TOKEN_VARIABLE):
            return given
        return mint_token(
            self.state,
            scopes,
            ttl=ttl,
            tenants=tenants,
            subject=subject,
            issuer=self.instance.issuer,
            audience=self.instance.audience,
        )

    @contextmanager
    def http(self, *, scopes: list[str] | None = None, timeout: float = _TIMEOUT_SECONDS) -> "Generator[httpx.Client]":
        """A client of the edge. What goes wrong on the way becomes a CommandError."""
        import httpx

        if not self.instance.edge_url:
            raise CommandError("this mesh has no edge: it was started with --only and without envoy")
        headers = {"authorization": f"Bearer {self.token(scopes)}", "accept": "application/json"}
        try:
            with httpx.Client(base_url=self.instance.edge_url, headers=headers, timeout=timeout) as client:
                yield client
        except httpx.HTTPError as error:
            raise CommandError(f"the edge at {self.instance.edge_url} does not answer: {error}") from error

    @asynccontextmanager
    async def nats(self, *, downstream: bool = False) -> "AsyncGenerator[Client]":
        """A connection to NATS: as the operator, or as a downstream team sees it (public subjects only)."""
        import nats
        import nats.errors

        from services.cli.runtime.nats_accounts import CLI_USER, DOWNSTREAM_USER

        if not self.instance.nats_url:
            raise CommandError("this mesh has no NATS: it was started with --only and without nats")
        user, password = self.nats_login(DOWNSTREAM_USER if downstream else CLI_USER)
        try:
            connection = await nats.connect(
                self.instance.nats_url.split(","),
                user=user,
                password=password,
                name="tocsin-cli",
                max_reconnect_attempts=2,
                reconnect_time_wait=1,
                error_cb=_ignore,
            )
        except (nats.errors.Error, OSError) as error:
            raise CommandError(f"NATS at {self.instance.nats_url} cannot be reached: {error}") from error
        try:
            yield connection
        finally:
            if not connection.is_closed:
                await connection.close()

    def nats_login(self, user: str) -> tuple[str, str]:
        """User name and password at NATS for one of its users; raises CommandError."""
        from services.cli.runtime.nats_accounts import DOWNSTREAM_USER

        instance = self.instance
        if instance.external_nats and user == DOWNSTREAM_USER:
            given = tuple(os.environ.get(f"TOCSIN_NATS_DOWNSTREAM_{name}", "") for name in ("USER", "PASSWORD"))
            if all(given):
                return given[0], given[1]
            if instance.nats_user:
                # Never the login of the parts: it would show what no downstream team sees.
                raise CommandError(
                    "this mesh has a NATS server of yours, so the login of downstream teams is yours, too: set "
                    "TOCSIN_NATS_DOWNSTREAM_USER and TOCSIN_NATS_DOWNSTREAM_PASSWORD",
                    exit_code=2,
                )
        if instance.nats_user:
            return instance.nats_user, instance.nats_password
        return user, self.state.secret(f"nats.{user}")


def open_mesh(state_dir: Path | None = None) -> MeshClient:
    """The deployment whose edge TOCSIN_EDGE_URL names, else the mesh that is up on the state directory (option, else
    variable, else `.tocsin`)."""
    state = StateDir(state_dir_path(state_dir))
    if url := os.environ.get(EDGE_URL_VARIABLE):
        return MeshClient(_deployed(state, url), state)
    return open_embedded(state_dir)


def open_embedded(state_dir: Path | None = None) -> MeshClient:
    """The mesh that is up on the state directory: for commands that ask its runtime."""
    state = StateDir(state_dir_path(state_dir))
    return MeshClient(running_instance(state), state)


def _deployed(state: StateDir, url: str) -> Instance:
    """Where the parts of a deployment can be reached, as far as the environment says. Its own tokens are signed with
    the key of the state directory, where that is there (`tocsin deployment secrets` makes it in DIRECTORY/mesh)."""
    from services.cli.runtime.credentials import signing_key
    from services.cli.runtime.settings import read_settings

    settings = read_settings(state.root, {})
    return Instance(
        supervisor_pid=0,
        version="",
        edge_url=url.rstrip("/"),
        edge_port=0,
        nats_url=settings.nats_url,
        postgres_dsn="",
        external_nats=True,
        external_postgres=True,
        nats_user=settings.nats_user,
        nats_password=settings.nats_password,
        nats_prefix=settings.names.prefix,
        issuer=settings.identity.mesh_issuer if signing_key(state).exists() else "",
        audience=settings.identity.audience,
        ports={},
    )


def mint_token(
    state: StateDir,
    scopes: list[str] | None,
    *,
    ttl: timedelta,
    tenants: list[str] | None,
    subject: str,
    issuer: str,
    audience: str,
) -> str:
    """A token signed with the key of a state directory; `issuer` is empty where an identity provider signs them. Raises
    CommandError then, and when there is no key."""
    from services.cli.runtime.credentials import open_issuer, signing_key

    if not issuer:
        raise CommandError(
            "this mesh takes the tokens of an identity provider of yours: get one there and set TOCSIN_TOKEN to it "
            "(TOCSIN_AUTH_DEV_TOKENS=true for 'tocsin up' lets it take its own, too)",
            exit_code=2,
        )
    if not signing_key(state).exists():
        raise CommandError(f"{state.root} has no signing key yet; start a mesh with 'tocsin up'", exit_code=3)
    minted = open_issuer(state, issuer=issuer, audience=audience)
    return minted.mint(scopes or ["*"], ttl=ttl, tenants=tenants or ["*"], subject=subject)


def answer(response: "httpx.Response") -> Any:
    """The JSON of a good answer; raises CommandError with the problem (RFC 9457) of a bad one."""
    if response.is_success:
        return response.json() if response.content else {}
    raise CommandError(_problem(response))


def _problem(response: "httpx.Response") -> str:
    try:
        problem = response.json()
    except json.JSONDecodeError:
        return f"the edge answered {response.status_code}: {response.text[:200]}"
    if not isinstance(problem, dict):
        return f"the edge answered {response.status_code}"
    content: dict[str, Any] = problem  # pyright: ignore[reportUnknownVariableType] - keys of a JSON object are text
    told = str(content.get("detail") or content.get("title") or f"the edge answered {response.status_code}")
    parts = [f"{error.get('field', '?')}: {error.get('detail', '')}" for error in content.get("errors") or []]
    parts += [f"{name}: {value}" for name, value in (content.get("metadata") or {}).items() if value]
    if (wait := response.headers.get("retry-after", "")).isdigit():
        parts.append(f"try again in {wait} s")
    for part in parts:
        # What stands in the detail already, or in another part, is not said twice.
        if part not in told and not _stands_in(part.partition(": ")[2], told):
            told = f"{told.rstrip('.')}; {part}"
    # Rules name spans in seconds, as JSON has them; commands take and show them in larger units.
    return in_larger_units(told) if content.get("errors") else told


def _stands_in(value: str, text: str) -> bool:
    """Also where a list has no blanks behind its commas."""
    value, text = value.replace(", ", ","), text.replace(", ", ",")
    return bool(value) and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


async def _ignore(_error: Exception) -> None:
    """Trouble on the connection reaches the command by its own call; the client would also log it with a traceback."""
