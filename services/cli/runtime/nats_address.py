"""A NATS server as an operator names it: the login apart from the address, so that no address that is shown has one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from services.cli.runtime.errors import ConfigurationProblem

NATS_URL_VARIABLE = "TOCSIN_NATS_URL"
NATS_USER_VARIABLE = "TOCSIN_NATS_USER"
NATS_PASSWORD_VARIABLE = "TOCSIN_NATS_PASSWORD"  # noqa: S105 - the name of it
_SERVER = re.compile(r"(?:(?:nats|tls|ws|wss)://)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?/?")


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """`url` may be shown: it holds no login. Empty without a server of the operator's."""

    url: str
    user: str
    password: str


def read_nats(environment: Mapping[str, str]) -> NatsAddress:
    """The server and the login in the environment; raises ConfigurationProblem. A login in the URL counts where the
    variables for it are not set."""
    user, password = environment.get(NATS_USER_VARIABLE, ""), environment.get(NATS_PASSWORD_VARIABLE, "")
    servers: list[str] = []
    for text in filter(None, (part.strip() for part in environment.get(NATS_URL_VARIABLE, "").split(","))):
        scheme, separator, rest = text.rpartition("://")
        login, at, server = rest.rpartition("@")
        if not _SERVER.fullmatch(scheme + separator + server):
            raise ConfigurationProblem(
                f"{NATS_URL_VARIABLE} must be like nats://host:4222; percent-encode what is special in a login, or use "
                f"{NATS_USER_VARIABLE} and {NATS_PASSWORD_VARIABLE}"
            )
        if at:
            name, colon, secret = login.partition(":")
            if not colon:
                raise ConfigurationProblem(
                    f"{NATS_URL_VARIABLE} holds a token; Tocsin logs in with {NATS_USER_VARIABLE} and "
                    f"{NATS_PASSWORD_VARIABLE}"
                )
            user, password = user or unquote(name), password or unquote(secret)
        servers.append(scheme + separator + server)
    if bool(user) != bool(password):
        raise ConfigurationProblem(f"{NATS_USER_VARIABLE} and {NATS_PASSWORD_VARIABLE} belong together")
    return NatsAddress(",".join(servers), user, password)
