"""Envoy's configuration for a deployment: from the template and by the settings of `tocsin up`."""

from collections.abc import Mapping
from pathlib import Path

from services.cli.deployment import places
from services.cli.deployment.secrets import JWKS
from services.cli.runtime.edge import fill_template
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.identity_provider import (
    AUTH_DEV_TOKENS_VARIABLE,
    AUTH_JWKS_FILE_VARIABLE,
    AUTH_JWKS_URL_VARIABLE,
)
from services.cli.runtime.mesh import upstream_values
from services.cli.runtime.settings import (
    EDGE_HOST_VARIABLE,
    METRICS_HOST_VARIABLE,
    read_environment,
    read_settings,
    switch,
)

_MESH_KEYS_VARIABLE = "TOCSIN_PEER_JWKS_FILE"


def edge_configuration(environment: Mapping[str, str], *, gateway: str, gateway_grpc: str, admin_socket: str) -> str:
    """What Envoy is started with. The addresses of gateway and services are names, resolved again and again. Raises
    RuntimeProblem."""
    defaults = {EDGE_HOST_VARIABLE: places.EVERYWHERE, METRICS_HOST_VARIABLE: places.EVERYWHERE}
    environment = {**defaults, **{name: text for name, text in read_environment(environment).items() if text}}
    if environment.get(AUTH_JWKS_FILE_VARIABLE):
        raise ConfigurationProblem(
            f"{AUTH_JWKS_FILE_VARIABLE} is nothing for a deployment, as Envoy reads such a file only once: name the "
            f"identity provider with {AUTH_JWKS_URL_VARIABLE}, or let the mesh's own tokens in with "
            f"{AUTH_DEV_TOKENS_VARIABLE}=true"
        )
    # Of a state directory only ports are remembered, and there is none.
    settings = read_settings(Path(places.SECRETS), {}, environment=environment)
    identity = settings.identity
    if not identity.provided and not switch(environment, AUTH_DEV_TOKENS_VARIABLE):
        raise ConfigurationProblem(
            f"nobody could come in: name an identity provider with {AUTH_JWKS_URL_VARIABLE}, or let the mesh's own "
            f"tokens in with {AUTH_DEV_TOKENS_VARIABLE}=true"
        )
    options = read_edge_options(environment)
    ports = settings.configured_ports
    mesh_keys = Path(environment.get(_MESH_KEYS_VARIABLE) or Path(places.SECRETS, JWKS))
    upstreams = {"gateway": gateway, "gateway_grpc": gateway_grpc, **places.PEERS, **settings.peers}
    values = {
        **options.values,
        "EDGE_HOST": settings.edge_host,
        "EDGE_PORT": str(ports["edge"]),
        "EDGE_TLS_PORT": str(ports.get("edge_tls", places.EDGE_TLS_PORT)),
        "ADMIN_SOCKET": admin_socket,
        "METRICS_HOST": settings.metrics_host,
        "METRICS_PORT": str(ports.get("envoy_metrics", places.OPERATIONS_PORT)),
        **identity.envoy_values(mesh_keys, runtime=""),
        **upstream_values(upstreams),
    }
    return fill_template(values, options.sections | identity.envoy_sections())
