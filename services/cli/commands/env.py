"""`tocsin env`: addresses and logins of a running mesh, for scripts."""

import shlex
from typing import Annotated

import typer

from services.cli.options import StateDirOption


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(env)


def env(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDirOption = None,
) -> None:
    """Print where a running mesh can be reached, as shell variables: eval "$(tocsin env)".

    Holds the logins of the operator (database, NATS): keep the output to yourself.
    """
    import json as json_module

    from services.cli.client import open_embedded
    from services.cli.runtime.nats_accounts import CLI_USER, DOWNSTREAM_USER, GATEWAY_USER
    from services.cli.runtime.prometheus import read_targets

    mesh = open_embedded(state_dir)
    instance = mesh.instance
    # Not TOCSIN_POSTGRES_DSN and TOCSIN_NATS_URL: those would make the next `tocsin up` of the shell use these servers.
    values = {
        "TOCSIN_STATE_DIR": str(mesh.state.root),
        "TOCSIN_URL": instance.edge_url,
        "DATABASE_URL": instance.postgres_dsn,
        "NATS_URL": instance.nats_url,
    }
    for name, address in read_targets(mesh.state).items():
        values[f"{name.replace('-', '_').upper()}_METRICS_URL"] = f"http://{address}/metrics"
    if not instance.nats_user:
        values["NATS_USER"] = CLI_USER
        values["NATS_PASSWORD"] = mesh.state.secret(f"nats.{CLI_USER}")
        # Files to hand on: with their variables somebody else is less than the operator.
        for user in (DOWNSTREAM_USER, GATEWAY_USER):
            values[f"NATS_{user.upper()}_ENV"] = str(mesh.state.credentials / f"{user}.env")
        values["NATS_PUBLISHERS_ENV"] = str(mesh.state.credentials / "publisher-TENANT.env")
    if json:
        print(json_module.dumps(values, indent=2))
        return
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
