"""`tocsin nats`: what a NATS server of the operator's needs."""

import os

import typer

from services.cli.options import StateDirOption

app = typer.Typer(help="Prepare a NATS server of your own.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="nats")


@app.callback()
def _group() -> None:
    """A group stays a group with a single command in it."""


@app.command()
def permissions(state_dir: StateDirOption = None) -> None:
    """Print the accounts of a mesh for the configuration of a NATS server of your own.

    A login for each part, with just the subjects that it needs, one for downstream teams, one for gateways, and one for
    the trusted publisher of each tenant. Their passwords are those in the state directory (made now, where it is new),
    so 'tocsin up' needs TOCSIN_NATS_URL only.
    Keep the output to yourself.
    """
    from services.cli.runtime.credentials import ensure_nats_passwords
    from services.cli.runtime.own_nats import accounts_block
    from services.cli.runtime.settings import SERVICES, read_names, read_tenants
    from services.cli.runtime.state import StateDir, state_dir_path

    names, tenants = read_names(os.environ), read_tenants(os.environ)
    state = StateDir(state_dir_path(state_dir))
    print("# Tocsin's accounts. In the configuration of nats-server:")
    print("#   jetstream { store_dir: /data, sync_interval: always }")
    print("#   max_payload: 8MB")
    print("#   accounts { include tocsin-accounts.conf }")
    passwords = ensure_nats_passwords(state, SERVICES, tenants)
    print(accounts_block(SERVICES, tenants, passwords, names), end="")
