"""Who signs the tokens that the edge and the services accept: an identity provider of the operator's, or the mesh."""

import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.runtime.errors import ConfigurationProblem

AUTH_JWKS_FILE_VARIABLE = "TOCSIN_AUTH_JWKS_FILE"
AUTH_JWKS_URL_VARIABLE = "TOCSIN_AUTH_JWKS_URL"
AUTH_JWKS_CA_FILE_VARIABLE = "TOCSIN_AUTH_JWKS_CA_FILE"
AUTH_ISSUER_VARIABLE = "TOCSIN_AUTH_ISSUER"
AUTH_AUDIENCE_VARIABLE = "TOCSIN_AUTH_AUDIENCE"
AUTH_DEV_TOKENS_VARIABLE = "TOCSIN_AUTH_DEV_TOKENS"
MESH_ISSUER = "https://tocsin.local"
"""As services.chassis.auth.dev_issuer has it, which takes long to load."""
JWKS_PATH = "/jwks"
"""Where the runtime shows Envoy the keys of a file, which Envoy itself would read once only."""
_AUDIENCE = "tocsin"
_PLAIN = re.compile(r"[^\"\\\x00-\x20]+")
# Where distributions keep the authorities that they trust, for a Python that was built elsewhere.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`issuer` and `audience` of tokens, and where the keys are: a URL, a file, or neither, when the mesh signs them
    itself."""

    issuer: str = MESH_ISSUER
    audience: str = _AUDIENCE
    jwks_url: str = ""
    jwks_file: Path | None = None
    ca_file: str = ""
    refresh: timedelta = timedelta(seconds=30)
    leeway: timedelta = timedelta(seconds=5)
    dev_tokens: bool = False
    """Whether tokens of the mesh are accepted beside those of a provider."""

    @property
    def provided(self) -> bool:
        """Whether there is a provider."""
        return bool(self.jwks_url or self.jwks_file)

    @property
    def mesh_tokens(self) -> bool:
        """Whether tokens of the mesh itself open the edge."""
        return self.dev_tokens or not self.provided

    @property
    def mesh_issuer(self) -> str:
        """The issuer of the mesh's own tokens."""
        return MESH_ISSUER if self.provided else self.issuer

    def environment(self, mesh_keys: Path) -> dict[str, str]:
        """What the services are told."""
        keys = {} if self.jwks_url else {AUTH_JWKS_FILE_VARIABLE: str(self.jwks_file or mesh_keys)}
        return {
            AUTH_ISSUER_VARIABLE: self.issuer,
            AUTH_AUDIENCE_VARIABLE: self.audience,
            "TOCSIN_PEER_JWKS_FILE": str(mesh_keys),
            **keys,
            **({AUTH_JWKS_CA_FILE_VARIABLE: self.ca_file} if self.ca_file else {}),
        }

    def envoy_values(self, mesh_keys: Path, runtime: str) -> dict[str, str]:
        """Values of Envoy's template; `runtime` (`host:port`) is where the runtime answers JWKS_PATH."""
        values = {
            "JWKS_FILE": str(mesh_keys),
            "JWT_ISSUER": self.issuer,
            "JWT_AUDIENCE": self.audience,
            "JWT_MESH_ISSUER": self.mesh_issuer,
            # Envoy takes 0 for its own default of 60.
            "JWT_LEEWAY_SECONDS": str(max(math.ceil(self.leeway.total_seconds()), 1)),
        }
        if not self.provided:
            return values
        url = urlsplit(self.jwks_url or f"http://{runtime}{JWKS_PATH}")
        host = url.hostname or ""
        return {
            **values,
            "JWKS_URL": url.geturl(),
            "JWKS_HOST": host,
            "JWKS_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
            "JWKS_REFRESH": f"{self.refresh.total_seconds():g}s",
            "JWKS_CA_FILE": self.ca_file or system_authorities(),
            "JWKS_SAN_TYPE": "IP_ADDRESS" if re.fullmatch(r"[\d.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", host) else "DNS",
        }

    def envoy_sections(self) -> frozenset[str]:
        """Sections of Envoy's template."""
        if not self.provided:
            return frozenset({"MESH_ISSUER"})
        tls = {"PROVIDER_TLS"} if self.jwks_url.startswith("https:") else set[str]()
        return frozenset({"PROVIDER", "PROVIDER_AND_MESH" if self.dev_tokens else "PROVIDER_ALONE", *tls})


def read_identity(environment: Mapping[str, str], *, dev_tokens: bool) -> Identity:
    """What the variables say; raises ConfigurationProblem. What services read, too, they judge more closely."""
    file, url = environment.get(AUTH_JWKS_FILE_VARIABLE, ""), environment.get(AUTH_JWKS_URL_VARIABLE, "")
    ca_file = environment.get(AUTH_JWKS_CA_FILE_VARIABLE, "")
    if file and url:
        raise ConfigurationProblem(f"{AUTH_JWKS_FILE_VARIABLE} and {AUTH_JWKS_URL_VARIABLE} exclude each other")
    for variable in (AUTH_ISSUER_VARIABLE, AUTH_AUDIENCE_VARIABLE, AUTH_JWKS_URL_VARIABLE, AUTH_JWKS_CA_FILE_VARIABLE):
        if (text := environment.get(variable, "")) and not _PLAIN.fullmatch(text):
            raise ConfigurationProblem(f"{variable} must hold no spaces, quotes or backslashes")
    if file:
        _check_keys(Path(file))
    issuer = environment.get(AUTH_ISSUER_VARIABLE, "")
    if (file or url) and issuer in ("", MESH_ISSUER):
        raise ConfigurationProblem(
            f"{AUTH_ISSUER_VARIABLE} must be the issuer (iss) in the tokens of your identity provider"
            + (f", not {MESH_ISSUER}, which is the mesh itself" if issuer else "")
        )
    if url.startswith("https:") and not (ca_file or system_authorities()):
        raise ConfigurationProblem(
            f"{AUTH_JWKS_CA_FILE_VARIABLE} must name a file of authorities (PEM): this machine has none in its place"
        )
    return Identity(
        issuer=issuer or MESH_ISSUER,
        audience=environment.get(AUTH_AUDIENCE_VARIABLE) or _AUDIENCE,
        jwks_url=url,
        jwks_file=Path(file).absolute() if file else None,
        ca_file=str(Path(ca_file).absolute()) if ca_file else "",
        refresh=_duration(environment, "TOCSIN_AUTH_JWKS_REFRESH", timedelta(seconds=30)),
        leeway=_duration(environment, "TOCSIN_AUTH_LEEWAY", timedelta(seconds=5)),
        dev_tokens=dev_tokens and bool(file or url),
    )


def _duration(environment: Mapping[str, str], variable: str, default: timedelta) -> timedelta:
    text = environment.get(variable, "")
    if not text:
        return default
    # Here, as it loads much that a start without these variables can do without.
    from services.chassis.settings import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise ConfigurationProblem(f"{variable} {error}") from None
    assert isinstance(found, timedelta)
    return found


def _check_keys(file: Path) -> None:
    from services.chassis.auth.keys import parse_jwks

    try:
        parse_jwks(file.read_bytes())
    except OSError as error:
        raise ConfigurationProblem(f"{AUTH_JWKS_FILE_VARIABLE}: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationProblem(f"{AUTH_JWKS_FILE_VARIABLE}: {file} cannot be used: {error}") from None


def system_authorities() -> str:
    """The file of the authorities that this machine trusts; empty when none is found."""
    candidates = (ssl.get_default_verify_paths().cafile or "", *_BUNDLES)
    return next((file for file in candidates if file and Path(file).is_file()), "")
