"""`tocsin healthcheck`: whether one service of a deployment is well."""

import asyncio
import os
from typing import Annotated

import typer

from services.cli.errors import CommandError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(healthcheck)


def healthcheck(
    service: Annotated[str, typer.Argument(help="ingestion, aggregation, media-probe or notification.")],
    address: Annotated[
        str, typer.Option(help="Where it listens (host:port), where that is not as the variables say.")
    ] = "",
    wait: Annotated[str, typer.Option(help="Ask again for so long, until it is well: 30s, 2m.")] = "",
) -> None:
    """Ask one service of a deployment whether it is well: exit code 0 when it is, 1 with the reason when not.

    It answers for itself and for what it stands on (grpc.health.v1). The one that is asked is that of this container
    (TOCSIN_GRPC_LISTEN), else the one that other parts reach (TOCSIN_PEER_...). 'tocsin status' tells how the parts of
    an embedded mesh are.
    """
    from datetime import timedelta

    from services.cli.deployment.healthcheck import ask, probe_of
    from services.cli.options import span
    from services.cli.runtime.part import Unhealthy

    # Reading a time loads much; a check that runs all the time is to cost little.
    patience = timedelta(seconds=float(span(wait, "--wait").removesuffix("s"))) if wait else timedelta(0)
    try:
        asyncio.run(ask(probe_of(service, address, os.environ), patience))
    except Unhealthy as problem:
        raise CommandError(f"{service}: {problem}") from None
    print(f"{service}: well")
