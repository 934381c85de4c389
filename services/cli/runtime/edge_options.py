"""What an operator may set about the edge, from the environment to values and sections of Envoy's template."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.setting import Setting

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")
_DURATION = re.compile(r"[1-9][0-9]{0,4}s")
_FILE = re.compile(r"[^\"\\\x00-\x1f]+")

_ENVOY = ("envoy",)
_NUMBERS = (
    Setting(
        name="TOCSIN_EDGE_RATE_LIMIT_PER_SECOND",
        type="number",
        default="10000",
        meaning="Requests a second that the edge lets in; more are answered with 429.",
        readers=_ENVOY,
    ),
    Setting(
        name="TOCSIN_EDGE_RATE_LIMIT_BURST",
        type="number",
        default="20000",
        meaning="Requests that may come at once after a quiet time.",
        readers=_ENVOY,
    ),
    Setting(
        name="TOCSIN_EDGE_MAX_CONNECTIONS",
        type="number",
        default="10000",
        meaning="Connections of clients at the same time.",
        readers=_ENVOY,
    ),
    Setting(
        name="TOCSIN_EDGE_TRUSTED_HOPS",
        type="number",
        default="0",
        meaning="Proxies before the edge whose X-Forwarded-For is believed.",
        readers=_ENVOY,
    ),
)
_TIMEOUT_VARIABLE = "TOCSIN_EDGE_REQUEST_TIMEOUT"
_ORIGINS_VARIABLE = "TOCSIN_EDGE_CORS_ORIGINS"
_ACCESS_LOG_VARIABLE = "TOCSIN_EDGE_ACCESS_LOG"
_TLS_VARIABLES = {"TOCSIN_EDGE_TLS_CERT_FILE": "TLS_CERT_FILE", "TOCSIN_EDGE_TLS_KEY_FILE": "TLS_KEY_FILE"}
_MTLS_VARIABLES = {
    "TOCSIN_GRPC_TLS_CERT_FILE": "MTLS_CERT_FILE",
    "TOCSIN_GRPC_TLS_KEY_FILE": "MTLS_KEY_FILE",
    "TOCSIN_GRPC_TLS_CA_FILE": "MTLS_CA_FILE",
}


EDGE_SETTINGS = (
    *_NUMBERS,
    Setting(
        name=_TIMEOUT_VARIABLE,
        type="whole seconds",
        default="30s",
        meaning="How long the edge waits for an answer.",
        readers=_ENVOY,
    ),
    Setting(
        name=_ORIGINS_VARIABLE,
        type="list",
        meaning="Origins (https://example.com) whose pages may call the edge from a browser; none by default.",
        readers=_ENVOY,
    ),
    Setting(
        name=_ACCESS_LOG_VARIABLE, type="1 or 0", default="1", meaning="Whether each request is logged.", readers=_ENVOY
    ),
    Setting(
        name="TOCSIN_EDGE_TLS_CERT_FILE",
        type="file",
        meaning="The certificate (PEM) of the edge's TLS listener; with its key, or neither.",
        readers=_ENVOY,
    ),
    Setting(name="TOCSIN_EDGE_TLS_KEY_FILE", type="file", meaning="The certificate's key.", readers=_ENVOY),
    *(
        Setting(name=name, type="file", meaning="", readers=_ENVOY)  # described where services read it
        for name in _MTLS_VARIABLES
    ),
)
"""What may be set about the edge."""


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """`values` by their names in the template, and the optional `sections` that are wanted."""

    values: Mapping[str, str]
    sections: frozenset[str]


def read_edge_options(environment: Mapping[str, str]) -> EdgeOptions:
    """The options in the environment; raises ConfigurationProblem about the first that makes no sense."""
    values: dict[str, str] = {}
    for setting in _NUMBERS:
        variable, name = setting.name, setting.name.removeprefix("TOCSIN_EDGE_")
        values[name] = environment.get(variable) or setting.default
        if not re.fullmatch(r"[0-9]{1,9}", values[name]):
            raise ConfigurationProblem(f"{variable} must be a whole number, not {values[name]!r}")
    values["REQUEST_TIMEOUT"] = environment.get(_TIMEOUT_VARIABLE) or "30s"
    if not _DURATION.fullmatch(values["REQUEST_TIMEOUT"]):
        raise ConfigurationProblem(f"{_TIMEOUT_VARIABLE} must be whole seconds like 30s")
    values["CORS_ORIGINS"] = _origins(environment.get(_ORIGINS_VARIABLE, ""))
    sections: set[str] = set()
    if environment.get(_ACCESS_LOG_VARIABLE, "1") not in ("0", "false", "off"):
        sections.add("ACCESS_LOG")
    for section, variables in (("TLS", _TLS_VARIABLES), ("MTLS", _MTLS_VARIABLES)):
        # Absolute, for Envoy runs in a directory of its own.
        files = {name: _absolute(environment.get(variable, "")) for variable, name in variables.items()}
        if not any(files.values()):
            continue
        for variable, name in variables.items():
            if not _FILE.fullmatch(files[name]):
                raise ConfigurationProblem(
                    f"{variable} must name a file (without quotes or backslashes) when TLS is configured"
                )
        values |= files
        sections.add(section)
    return EdgeOptions(values, frozenset(sections))


def _absolute(file: str) -> str:
    return str(Path(file).absolute()) if file else ""


def _origins(text: str) -> str:
    origins = [origin.strip() for origin in text.split(",") if origin.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationProblem(f"{_ORIGINS_VARIABLE} must be origins like https://example.com, not {origin!r}")
    return json.dumps([{"exact": origin} for origin in origins])
