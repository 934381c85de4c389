"""A NATS server of the operator's: the accounts that it needs, and what can be seen of it before it is used."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.nats_accounts import DOWNSTREAM_USER, GATEWAY_USER
from services.cli.runtime.nats_server import MAX_PAYLOAD_BYTES, render_nats_config

if TYPE_CHECKING:
    from nats.aio.client import Client

MINIMUM_VERSION = (2, 10)
_PATIENCE_SECONDS = 15.0
_WITHIN = 2.0
_TEMPORARILY_UNAVAILABLE = 10008
"""JetStream's code for a cluster without a leader."""
# In no stream and nobody's business: whoever may publish it may publish anything.
_FORBIDDEN_SUBJECT = "tocsin.permissions.check"


@dataclass(frozen=True, slots=True)
class NatsServer:
    """What a server says of itself when one connects."""

    release: tuple[int, int, int]
    max_payload: int
    round_trip_seconds: float

    @property
    def version(self) -> str:
        """As people write it."""
        return ".".join(map(str, self.release))


def accounts_block(
    services: tuple[str, ...], tenants: tuple[str, ...], passwords: Mapping[str, str], names: MeshNames
) -> str:
    """What belongs into the block `accounts` of the server's configuration: those of the embedded one, less the system
    account, which is the operator's."""
    config = json.loads(
        render_nats_config(port=0, store=Path(), services=services, tenants=tenants, passwords=passwords, names=names)
    )
    accounts: dict[str, object] = config["accounts"]
    accounts.pop("SYS")
    blocks = [f"{name}: {json.dumps(content, indent=2, ensure_ascii=False)}" for name, content in accounts.items()]
    return "\n".join(blocks) + "\n"


async def look_at_server(url: str, user: str, password: str, *, patience: float = 0.0) -> NatsServer:
    """Connects, and makes a round trip. Raises RuntimeProblem in words, for a server that cannot be reached only after
    `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            async with _connection(url, user, password) as client:
                begun = time.monotonic()
                await client.flush(timeout=int(_WITHIN))
                version = client.connected_server_version
                release = (version.major, version.minor, version.patch)
                return NatsServer(release, client.max_payload, time.monotonic() - begun)
        except _NotReached as problem:
            if time.monotonic() >= deadline:
                raise RuntimeProblem(str(problem)) from None
        await asyncio.sleep(0.25)


async def check_server(url: str, user: str, password: str) -> list[str]:
    """What the operator ought to know about the server. Raises RuntimeProblem when it cannot be used."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    server = await look_at_server(url, user, password, patience=_PATIENCE_SECONDS)
    if server.release < MINIMUM_VERSION:
        least = ".".join(map(str, MINIMUM_VERSION))
        raise RuntimeProblem(f"the NATS server at {url} is {server.version}: too old; Tocsin needs {least} or newer")
    notes: list[str] = []
    if server.max_payload < MAX_PAYLOAD_BYTES:
        notes.append(
            f"the server takes messages of {server.max_payload:,} bytes at the most; Tocsin's own takes "
            f"{MAX_PAYLOAD_BYTES:,} (max_payload)"
        )
    while problem := await _without_jetstream(url, user, password):
        if problem.lasting or time.monotonic() >= deadline:
            raise RuntimeProblem(
                f"the NATS server at {url} gives user {user or '(none)'} no JetStream ({problem.reason}); enable it "
                "for the account"
            )
        await asyncio.sleep(0.25)
    return notes


async def without_jetstream(url: str, user: str, password: str) -> str:
    """Why JetStream does not answer a user at this moment; empty when it does."""
    problem = await _without_jetstream(url, user, password)
    return problem.reason if problem else ""


@dataclass(frozen=True, slots=True)
class _WithoutJetStream:
    """Why JetStream is not there; what is not `lasting` (an election of the cluster's leader) passes by itself."""

    reason: str
    lasting: bool


async def _without_jetstream(url: str, user: str, password: str) -> _WithoutJetStream | None:
    """None when it is there."""
    from nats.errors import Error
    from nats.js.errors import APIError

    refusals: list[str] = []

    async def hear(error: Exception) -> None:
        refusals.append(str(error))

    try:
        async with _connection(url, user, password, hear) as client:
            await client.jetstream(timeout=_WITHIN).account_info()
    except APIError as error:
        return _WithoutJetStream(repr(error), lasting=error.err_code != _TEMPORARILY_UNAVAILABLE)
    except (_NotReached, Error) as error:
        # Who lacks the right to ask is told so, and gets no answer.
        return _WithoutJetStream((*refusals, repr(error))[0], lasting=bool(refusals))
    return None


async def check_outside_login(url: str, name: str, user: str, password: str) -> str:
    """What is wrong with a login that an operator hands on; empty when nothing is."""
    whose = {DOWNSTREAM_USER: "downstream teams", GATEWAY_USER: "gateways"}.get(name, name)
    refusals: list[str] = []

    async def hear(error: Exception) -> None:
        refusals.append(str(error).lower())

    try:
        async with _connection(url, user, password, hear) as client:
            await client.publish(_FORBIDDEN_SUBJECT, b"")
            await client.flush(timeout=int(_WITHIN))
            await client.flush(timeout=int(_WITHIN))  # the refusal comes before the second answer
    except (_NotReached, RuntimeProblem) as problem:
        return f"the login of {whose} does not work: {problem}"
    if not any("permissions violation" in refusal for refusal in refusals):
        return f"the login of {whose} ({user}) may publish anything; 'tocsin nats permissions' prints what it needs"
    return ""


class _NotReached(Exception):
    """Nobody answers, for the time being."""


@asynccontextmanager
async def _connection(url: str, user: str, password: str, error_cb: object = None) -> "AsyncGenerator[Client]":
    import nats.errors
    from nats.aio.client import Client

    async def ignore(_error: Exception) -> None:
        """What goes wrong reaches the one who asks."""

    client = Client()
    try:
        async with asyncio.timeout(2 * _WITHIN):
            await client.connect(
                url.split(","),
                user=user or None,
                password=password or None,
                name="tocsin-check",
                allow_reconnect=False,
                connect_timeout=int(_WITHIN),
                error_cb=error_cb or ignore,  # pyright: ignore[reportArgumentType] - a coroutine function
            )
    except (nats.errors.Error, OSError) as error:
        await _abandon(client)
        if "authorization violation" in str(error).lower():
            raise RuntimeProblem(
                f"the NATS server at {url} does not let user {user or '(none)'} in; 'tocsin nats permissions' prints "
                "the logins of a mesh, or set TOCSIN_NATS_USER and TOCSIN_NATS_PASSWORD"
            ) from None
        reason = str(error).removeprefix("nats: ") or type(error).__name__
        raise _NotReached(f"the NATS server at {url} cannot be reached: {reason}") from None
    try:
        yield client
    except nats.errors.Error as error:
        raise _NotReached(f"the NATS server at {url} does not answer: {error!r}") from None
    finally:
        if not client.is_closed:
            await client.close()


async def _abandon(client: "Client") -> None:
    """Ends a connection that came to nothing: the client itself would leave its socket open."""
    transport = client._transport  # pyright: ignore[reportPrivateUsage]
    await client.close()
    if transport is not None:
        transport.close()
        with suppress(OSError):  # the server may have been first, and harder
            await transport.wait_closed()
