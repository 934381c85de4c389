"""`tocsin deployment`: what a deployment by Compose, Kubernetes or systemd is given."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import JsonOption, console, fields, print_json

app = typer.Typer(
    help="Prepare a deployment without the runtime: Compose, Kubernetes, systemd (docs/deployment.md).",
    no_args_is_help=True,
)
_LONGEST_LIFE = timedelta(days=3650)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="deployment")


@app.command()
def secrets(
    directory: Annotated[Path, typer.Argument(help="A new directory, or that of the last call.")],
    token_life: Annotated[
        str, typer.Option(help="How long the tokens are good that services show to each other.")
    ] = "365d",  # noqa: S107 - a time
    json: JsonOption = False,
) -> None:
    """Write the secrets of a deployment as files, a directory for each part.

    What was made at an earlier call stays; the services' tokens for each other are signed anew at each call, and
    services that run read them again: call this before they expire. Back up DIRECTORY/mesh, from which all else is
    made; no part is given it. DIRECTORY/<part> is what the part finds at /run/secrets/tocsin (TOCSIN_SECRETS_DIR).

    TOCSIN_POSTGRES_DSN (postgresql://tocsin@postgres:5432/tocsin by default) is the database and the role that prepares
    it; without a password in it one is made, for the server to be started with. TOCSIN_NATS_URL, TOCSIN_NATS_PREFIX and
    TOCSIN_NOTIFICATION_TENANTS count as for 'tocsin up'.
    """
    from services.cli.deployment.secrets import write_secrets

    written = write_secrets(directory.absolute(), os.environ, _life(token_life))
    expire = written.tokens_expire.strftime("%Y-%m-%dT%H:%M:%SZ")
    if json:
        parts = {part: list(names) for part, names in written.parts.items()}
        print_json({"directory": str(written.directory), "tokensExpire": expire, "parts": parts})
        return
    out = console()
    out.print(fields(str(written.directory), {part: ", ".join(names) for part, names in written.parts.items()}))
    out.print(f"[green]written[/]; the services' tokens expire on {expire}, call this again before", soft_wrap=True)


def _life(text: str) -> timedelta:
    from services.cli.errors import CommandError

    life = _duration(text, "--token-life")
    if not timedelta(hours=1) <= life <= _LONGEST_LIFE:
        raise CommandError(f"--token-life must be from 1h to {_LONGEST_LIFE.days}d, not {text!r}", exit_code=2)
    return life


@app.command()
def envoy(
    output: Annotated[Path | None, typer.Option(help="The file to write; standard output by default.")] = None,
    gateway: Annotated[str, typer.Option(help="Where the gateway answers REST.")] = "gateway:8081",
    gateway_grpc: Annotated[str, typer.Option(help="Where the gateway answers gRPC.")] = "gateway:8082",
    admin_socket: Annotated[str, typer.Option(help="Where Envoy puts the socket of its administration.")] = (
        "/tmp/envoy-admin.sock"  # noqa: S108 - of a container, whose /tmp is its own
    ),
) -> None:
    """Write Envoy's configuration, by the variables that 'tocsin up' reads: TOCSIN_EDGE_..., TOCSIN_AUTH_...,
    TOCSIN_PEER_..., TOCSIN_GRPC_TLS_....

    It listens on every address: 8080, 8443 with TLS (TOCSIN_EDGE_TLS_CERT_FILE), 8009 for metrics. Services are reached
    as TOCSIN_PEER_... says, by default under their names at port 50051.
    """
    from services.cli.deployment.edge import edge_configuration
    from services.cli.errors import CommandError

    text = edge_configuration(os.environ, gateway=gateway, gateway_grpc=gateway_grpc, admin_socket=admin_socket)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}", exit_code=2) from error


@app.command()
def wait(
    service: Annotated[str, typer.Argument(help="ingestion, aggregation, media-probe or notification.")],
    within: Annotated[str, typer.Option(help="For how long, at the most.")] = "10m",
) -> None:
    """Wait until a service can be started: until its logins work at PostgreSQL and NATS, no migration of its version is
    to come, and the streams are there. It reads what the service reads.

    Exit code: 0 when it can, 1 with what is missing when it cannot within that time.
    """
    import asyncio

    from services.chassis.settings import ChassisSettings, Refused, read
    from services.cli.deployment.waiting import wait_until_prepared
    from services.cli.errors import CommandError
    from services.cli.options import service_name

    patience = _duration(within, "--within")
    name = service_name(service)
    try:
        settings = read(ChassisSettings)
    except Refused as refusal:
        raise CommandError(str(refusal), exit_code=2) from None
    asyncio.run(wait_until_prepared(name, settings, patience, lambda what: print(f"waits: {what}", flush=True)))
    print(f"{service} can be started")


@app.command()
def drain(
    socket: Annotated[Path, typer.Option(help="The socket of Envoy's administration.")],
    within: Annotated[str, typer.Option(help="How long clients may take to go.")] = "15s",
) -> None:
    """Stand beside an Envoy until told to stop (SIGTERM), and let its clients go then.

    Envoy ends at once when it is told to stop. In a pod that is deleted both are told at the same time: Envoy's
    container waits (preStop), while this one has its answers end their connections and its listeners close.
    """
    import asyncio

    from services.cli.deployment.draining import drain_at_stop

    left = asyncio.run(drain_at_stop(socket, _duration(within, "--within")))
    print(f"{left} clients are left" if left else "no client is left")


def _duration(text: str, option: str) -> timedelta:
    from services.chassis.settings import parse_duration
    from services.cli.errors import CommandError

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise CommandError(f"{option} {error}", exit_code=2) from None
    assert isinstance(found, timedelta)
    return found
