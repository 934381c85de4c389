"""`tocsin up`: runs the whole mesh on this machine until Ctrl-C."""

import asyncio
from typing import Annotated

import typer

from services.cli.options import StateDirOption
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.settings import RuntimeSettings, parts_of, read_settings
from services.cli.runtime.state import StateDir, state_dir_path


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(up)


def up(
    state_dir: StateDirOption = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the edge. [env: TOCSIN_EDGE_PORT; default: that of the last run, 8080 at first]"),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address that the edge listens on. [env: TOCSIN_EDGE_HOST; default: 127.0.0.1]")
    ] = None,
    postgres_port: Annotated[int | None, typer.Option(help="[env: TOCSIN_POSTGRES_PORT; default: a free one]")] = None,
    nats_port: Annotated[int | None, typer.Option(help="[env: TOCSIN_NATS_PORT; default: a free one]")] = None,
    only: Annotated[
        str | None, typer.Option(help="Run only these parts, for development: postgres,nats,ingestion,...")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is healthy; the mesh stays up in the background.")
    ] = False,
) -> None:
    """Start the mesh and keep it up until Ctrl-C, or in the background until 'tocsin stop'.

    Ports that are not given are those of the last run; at the first start free ones are chosen, and 8080 for the edge.
    Every part's port has a variable (TOCSIN_INGESTION_PORT, TOCSIN_GATEWAY_PORT, ...); TOCSIN_POSTGRES_DSN and
    TOCSIN_NATS_URL name servers to use in place of own ones.
    """
    settings = read_settings(
        state_dir_path(state_dir),
        {"edge": port, "postgres": postgres_port, "nats": nats_port},
        edge_host=host,
        only=parts_of(only),
    )
    check_settings(settings)
    if detach:
        run_in_background(settings)
    else:
        run_in_foreground(settings)


def check_settings(settings: RuntimeSettings) -> None:
    """Ends the command when a part could not use its settings; says which variables nobody reads."""
    import sys

    from services.cli.configuration.check import problems, unknown_variables

    for line in unknown_variables(settings.passed_on):
        print(f"tocsin: {line}", file=sys.stderr)
    if found := problems(settings):
        raise ConfigurationProblem("\ntocsin: ".join(found))


def run_in_background(settings: RuntimeSettings) -> None:
    """Starts a mesh that outlives this command; returns when it is healthy, with its addresses on the console."""
    from services.cli.output import console
    from services.cli.runtime.banner import print_addresses, print_healthy
    from services.cli.runtime.detach import start_detached
    from services.cli.runtime.instance import running_instance
    from services.cli.runtime.up import check_start

    out = console()
    check_start(settings)
    out.print(f"\n[bold]Tocsin[/]  starting in the background; state in {settings.state_dir}", soft_wrap=True)
    for text in start_detached(settings):
        out.print(f"  ! {text}", style="yellow", markup=False, soft_wrap=True)
    print_healthy(out)
    state = StateDir(settings.state_dir)
    print_addresses(out, running_instance(state), state, detached=True)


def run_in_foreground(settings: RuntimeSettings) -> None:
    """Runs a mesh with its story on the console; returns after Ctrl-C or SIGTERM, when all is down."""
    # Here, so that the other commands do not load the runtime.
    from rich.console import Console

    from services.cli.runtime.banner import print_addresses, print_goodbye, print_healthy
    from services.cli.runtime.console import ConsoleReporter
    from services.cli.runtime.instance import Instance
    from services.cli.runtime.up import run_mesh

    console = Console(highlight=False)
    reporter = ConsoleReporter(console)

    def on_ready(instance: Instance, _stop: object) -> None:
        reporter.all_ready()
        print_healthy(console)
        print_addresses(console, instance, StateDir(settings.state_dir))

    asyncio.run(run_mesh(settings, reporter, on_ready))
    print_goodbye(console)
