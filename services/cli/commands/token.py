"""`tocsin token`: prints a development token."""

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption

if TYPE_CHECKING:
    from services.cli.runtime.state import StateDir

_EVERYTHING = "*"
_TENANTS_VARIABLE = "TOCSIN_NOTIFICATION_TENANTS"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAX_TTL = timedelta(days=365)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(token)


def token(
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope like readings:write; may be repeated. Default: every scope.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long the token is good for: 90s, 15m, 1h, 7d.")] = "1h",
    tenant: Annotated[
        list[str] | None, typer.Option(help="A tenant that it may touch; may be repeated. Default: every tenant.")
    ] = None,
    subject: Annotated[str, typer.Option(help="Whom the token names.")] = "developer",
    state_dir: StateDirOption = None,
) -> None:
    """Print a development token, signed with the key in the state directory.

    Of the mesh that is up there, or else of one with the settings in the environment. Where an identity provider of
    yours signs the tokens, this is refused (exit code 2).
    """
    from services.cli.client import mint_token
    from services.cli.runtime.state import StateDir, state_dir_path

    scopes = [name for given in scope or [] for name in given.replace(",", " ").split()]
    _check(scopes, tenant or [])
    state = StateDir(state_dir_path(state_dir))
    issuer, audience = _issuer(state)
    print(
        mint_token(state, scopes, ttl=parse_ttl(ttl), tenants=tenant, subject=subject, issuer=issuer, audience=audience)
    )


def _check(scopes: list[str], tenants: list[str]) -> None:
    """Refuses scopes that no method takes; warns of tenants that the settings of this shell do not have."""
    from services.cli.scopes import known_scopes

    known = known_scopes() if set(scopes) - {_EVERYTHING} else []
    if unknown := sorted(set(scopes) - {_EVERYTHING, *known}):
        raise CommandError(f"--scope is one of {', '.join(known)}, not {unknown[0]!r}", exit_code=2)
    if strangers := sorted(set(tenants) - {_EVERYTHING}):
        from services.notification.settings import NotificationSettings

        given = os.environ.get(_TENANTS_VARIABLE, "") or str(NotificationSettings.model_fields["tenants"].default)
        there = [name.strip() for name in given.split(",")]
        for name in (name for name in strangers if name not in there):
            print(f"tocsin: no tenant is called {name!r} here; there are {', '.join(there)}", file=sys.stderr)


def _issuer(state: "StateDir") -> tuple[str, str]:
    from services.cli.runtime.instance import running_instance
    from services.cli.runtime.settings import read_settings

    if state.in_use:
        instance = running_instance(state)
        return instance.issuer, instance.audience
    identity = read_settings(state.root, {}).identity
    return identity.mesh_issuer if identity.mesh_tokens else "", identity.audience


def parse_ttl(text: str) -> timedelta:
    """`90s`, `15m`, `1h`, `7d` as a duration above zero and up to a year; raises CommandError."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise CommandError(f"--ttl must be a number with s, m, h or d, like 1h, not {text!r}", exit_code=2)
    ttl = timedelta(**{_UNITS[unit]: int(number)})
    if not timedelta(0) < ttl <= _MAX_TTL:
        raise CommandError(f"--ttl must be above zero and at most {_MAX_TTL.days}d", exit_code=2)
    return ttl
