"""Settings from the environment: frozen, typed, units in the types, checked at boot.

A service subclasses `ChassisSettings` with its own prefix; the shared variables keep their names::

    class IngestionSettings(ChassisSettings):
        model_config = own_prefix("TOCSIN_INGESTION_")

        linger: Duration = timedelta(milliseconds=5)  # TOCSIN_INGESTION_LINGER=5ms
        max_batch: Size = 1 * MIB                     # TOCSIN_INGESTION_MAX_BATCH=1MiB

        def verify(self) -> None:
            super().verify()
            require(self.linger < timedelta(seconds=1), self.env("linger"), "must be under 1s")

    settings = load(IngestionSettings)  # prints one line that names the variable, and exits 2, if anything is wrong
"""

import os
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.chassis.mesh_names import prefix_problem
from services.chassis.origins import Targets
from services.chassis.secret_files import SECRETS_DIR_VARIABLE, SecretsUnreadable, with_secret_files

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_DURATION_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_SIZE_UNITS = {None: 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}
_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(?P<port>\d{1,5})")


def parse_duration(value: object) -> object:
    """`250ms`, `30s`, `5m`, `1h30m` to a timedelta; leaves what is not text alone. Raises ValueError without a unit."""
    if not isinstance(value, str):
        return value
    text, total, at = value.strip(), 0.0, 0
    while at < len(text) and (part := _DURATION.match(text, at)):
        total += float(part[1]) * _DURATION_UNITS[part[2]]
        at = part.end()
    if not text or at != len(text):
        raise ValueError("is no duration; write it with its unit, like 250ms, 30s, 5m or 1h30m")
    return timedelta(seconds=total)


def parse_size(value: object) -> object:
    """`4MiB`, `64KiB`, `1048576` to bytes; leaves what is not text alone. Raises ValueError for other text."""
    if not isinstance(value, str):
        return value
    if not (part := _SIZE.fullmatch(value.strip())):
        raise ValueError("is no size; write bytes, or a number with KiB, MiB or GiB")
    return int(part[1]) * _SIZE_UNITS[part[2]]


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
"""A number of bytes."""


class Refused(Exception):
    """A setting is nonsense: `name` of the variable, and what is wrong with it."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name


def require(condition: bool, name: str, problem: str) -> None:
    """Raises Refused about the variable `name` unless `condition` holds."""
    if not condition:
        raise Refused(name, problem)


def split_address(address: str, name: str = "address") -> tuple[str, int]:
    """`host:port` to its parts (an IPv6 host in brackets). Raises Refused about the variable `name`."""
    parts = _LISTEN.fullmatch(address)
    if parts is None or int(parts["port"]) > 65535:
        raise Refused(name, f"must be host:port, not {address!r}")
    return parts["host"].strip("[]"), int(parts["port"])


def own_prefix(prefix: str) -> SettingsConfigDict:
    """The model configuration of a service's settings: its own fields are read from variables with this prefix."""
    return SettingsConfigDict(
        env_prefix=prefix, frozen=True, extra="ignore", populate_by_name=True, use_attribute_docstrings=True
    )


def _shared(name: str) -> str:
    return f"TOCSIN_{name}"


class ChassisSettings(BaseSettings):
    """What every service reads. Empty variables count as unset."""

    model_config = own_prefix("TOCSIN_")

    secrets_dir: Path | None = Field(default=None, validation_alias=_shared("SECRETS_DIR"))
    """A directory with a file for each variable that is not in the environment, named after it: how containers are
    given passwords."""
    postgres_dsn: SecretStr = Field(default=SecretStr(""), validation_alias=_shared("POSTGRES_DSN"))
    """The database: `postgresql://user:password@host:5432/database`. The runtime takes a role that may create
    roles, and gives each service one of its own."""
    nats_url: str = Field(default="", validation_alias=_shared("NATS_URL"))
    """The broker; several servers of a cluster with commas between them."""
    nats_user: str = Field(default="", validation_alias=_shared("NATS_USER"))
    """The login at the broker."""
    nats_password: SecretStr = Field(default=SecretStr(""), validation_alias=_shared("NATS_PASSWORD"))
    """The login at the broker."""
    nats_prefix: str = Field(default="", validation_alias=_shared("NATS_PREFIX"))
    """What the names of this mesh's subjects, streams and buckets begin with, so that several meshes can share an
    account: with `stage` they are `stage.tocsin...` and `STAGE_...`. The same for all parts; where it is changed,
    everything begins in new, empty streams."""

    grpc_listen: str = Field(default="127.0.0.1:0", validation_alias=_shared("GRPC_LISTEN"))
    """Where the service answers gRPC; port 0 is any free one."""
    grpc_workers: int = Field(default=1, validation_alias=_shared("GRPC_WORKERS"))
    """Processes that share the port."""
    grpc_max_message: Size = Field(default=4 * MIB, validation_alias=_shared("GRPC_MAX_MESSAGE"))
    """Bytes of one request."""
    grpc_max_calls: int = Field(default=4096, validation_alias=_shared("GRPC_MAX_CALLS"))
    """Calls at the same time in one process; more are refused."""
    grpc_default_deadline: Duration = Field(
        default=timedelta(seconds=30), validation_alias=_shared("GRPC_DEFAULT_DEADLINE")
    )
    """The deadline of calls that bring none."""
    grpc_tls_cert_file: Path | None = Field(default=None, validation_alias=_shared("GRPC_TLS_CERT_FILE"))
    """The certificate (PEM) for mutual TLS between parts; all three files or none."""
    grpc_tls_key_file: Path | None = Field(default=None, validation_alias=_shared("GRPC_TLS_KEY_FILE"))
    """The certificate's key."""
    grpc_tls_ca_file: Path | None = Field(default=None, validation_alias=_shared("GRPC_TLS_CA_FILE"))
    """What the certificates of the other parts are signed by."""
    stop_grace: Duration = Field(default=timedelta(seconds=10), validation_alias=_shared("STOP_GRACE"))
    """How long calls under way may take after SIGTERM."""

    auth_jwks_file: Path | None = Field(default=None, validation_alias=_shared("AUTH_JWKS_FILE"))
    """The keys (JWKS) that tokens are signed with: of an identity provider of yours, or of the mesh itself by default.
    Read again when it changes."""
    auth_jwks_url: str = Field(default="", validation_alias=_shared("AUTH_JWKS_URL"))
    """Where an identity provider of yours publishes its keys (JWKS), in place of the file."""
    auth_jwks_ca_file: Path | None = Field(default=None, validation_alias=_shared("AUTH_JWKS_CA_FILE"))
    """What the provider's certificate is signed by (PEM); the system's authorities by default."""
    auth_jwks_refresh: Duration = Field(default=timedelta(seconds=30), validation_alias=_shared("AUTH_JWKS_REFRESH"))
    """How often the provider's keys are fetched."""
    auth_dev_tokens: bool = Field(default=False, validation_alias=_shared("AUTH_DEV_TOKENS"))
    """Whether the mesh's own development tokens (`tocsin token`) are accepted beside those of an identity provider."""
    auth_issuer: str = Field(default="https://tocsin.local", validation_alias=_shared("AUTH_ISSUER"))
    """The issuer (`iss`) of tokens."""
    auth_audience: str = Field(default="tocsin", validation_alias=_shared("AUTH_AUDIENCE"))
    """The audience (`aud`) of tokens."""
    auth_leeway: Duration = Field(default=timedelta(seconds=5), validation_alias=_shared("AUTH_LEEWAY"))
    """By how much clocks may differ."""

    metrics_listen: str = Field(default="", validation_alias=_shared("METRICS_LISTEN"))
    """Where metrics are answered (`/metrics`); nowhere by default."""
    log_format: Literal["json", "console"] = Field(default="json", validation_alias=_shared("LOG_FORMAT"))
    """JSON lines, or text for people. The parts of a mesh always log JSON, which 'tocsin logs' shows as text."""
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias=_shared("LOG_LEVEL")
    )
    """The least that is logged."""
    commit: str = Field(default="", validation_alias=_shared("COMMIT"))
    """The commit that this was built from, for `tocsin_build_info`; `tocsin up` sets it in a checkout."""
    otlp_endpoint: str = Field(default="", validation_alias=_shared("OTLP_ENDPOINT"))
    """Where traces go (OTLP over HTTP); nowhere by default."""
    trace_ratio: float = Field(default=0.1, validation_alias=_shared("TRACE_RATIO"))
    """The share of traces that are kept, of those that begin here."""

    peer_ingestion: str = Field(default="", validation_alias=_shared("PEER_INGESTION"))
    """Where ingestion answers gRPC."""
    peer_aggregation: str = Field(default="", validation_alias=_shared("PEER_AGGREGATION"))
    """Where aggregation answers gRPC."""
    peer_media_probe: str = Field(default="", validation_alias=_shared("PEER_MEDIA_PROBE"))
    """Where media-probe answers gRPC."""
    peer_notification: str = Field(default="", validation_alias=_shared("PEER_NOTIFICATION"))
    """Where notification answers gRPC."""
    refused_targets: str = Field(default="", validation_alias=_shared("REFUSED_TARGETS"))
    """Addresses (host:port, separated by commas) that nobody else's request is taken to, whatever is allowed. The
    runtime names every port of the mesh here; what a service is told of the mesh otherwise, it adds by itself."""
    peer_token_file: Path | None = Field(default=None, validation_alias=_shared("PEER_TOKEN_FILE"))
    """A file with the token that this service shows to its peers when it calls on its own behalf."""
    peer_jwks_file: Path | None = Field(default=None, validation_alias=_shared("PEER_JWKS_FILE"))
    """The keys that such tokens are signed with; without it they are of the issuer of all others."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `read` takes it from the environment that it is asked about."""
        return (init_settings,)

    @classmethod
    def env(cls, field: str) -> str:
        """The name of the variable that `field` is read from."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field.upper()}"

    def targets(self, field: str) -> Targets:
        """The origins and networks in `field`. Raises Refused."""
        try:
            return Targets.parse(getattr(self, field))
        except ValueError as error:
            raise Refused(self.env(field), str(error)) from None

    def mesh_addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports where the mesh itself listens, as far as this process is told: no request of somebody else's
        is taken there. Raises Refused."""
        fields = ("grpc_listen", "metrics_listen", "peer_ingestion", "peer_aggregation", "peer_media_probe")
        named = [(getattr(self, field), field) for field in (*fields, "peer_notification")]
        named += [(text.strip(), "refused_targets") for text in self.refused_targets.split(",")]
        found = [split_address(text, self.env(field)) for text, field in named if text]
        found += _hosts(self.postgres_dsn.get_secret_value(), 5432)
        for url in self.nats_url.split(","):
            found += _hosts(url, 4222)
        return found

    def verify(self) -> None:
        """Raises Refused about the first setting that makes no sense. Subclasses call it, then check their own."""
        self.mesh_addresses()
        problem = prefix_problem(self.nats_prefix)
        require(not problem, self.env("nats_prefix"), problem)
        require(1 <= self.grpc_workers <= 64, self.env("grpc_workers"), "must be from 1 to 64")
        # The gateway's messages of many calls are smaller than that.
        require(MIB <= self.grpc_max_message <= 256 * MIB, self.env("grpc_max_message"), "must be from 1MiB to 256MiB")
        require(self.grpc_max_calls >= 1, self.env("grpc_max_calls"), "must be at least 1")
        for name in ("grpc_default_deadline", "stop_grace"):
            value = getattr(self, name)
            require(timedelta(0) < value <= timedelta(hours=1), self.env(name), "must be above 0s and at most 1h")
        require(
            timedelta(0) <= self.auth_leeway <= timedelta(minutes=5), self.env("auth_leeway"), "must be from 0s to 5m"
        )
        require(0.0 <= self.trace_ratio <= 1.0, self.env("trace_ratio"), "must be from 0 to 1")
        if self.otlp_endpoint:
            url = urlsplit(self.otlp_endpoint)
            require(
                url.scheme in ("http", "https") and bool(url.netloc),
                self.env("otlp_endpoint"),
                "must be an http(s) URL",
            )
        for name in ("auth_jwks_file", "auth_jwks_ca_file", "peer_jwks_file"):
            path = getattr(self, name)
            require(path is None or path.is_file(), self.env(name), f"names no readable file: {path}")
        if self.auth_jwks_url:
            self._verify_provider()
        tls = {name: getattr(self, name) for name in ("grpc_tls_cert_file", "grpc_tls_key_file", "grpc_tls_ca_file")}
        if any(tls.values()):
            for name, path in tls.items():
                require(path is not None and path.is_file(), self.env(name), "must name a file when TLS is configured")

    def _verify_provider(self) -> None:
        name = self.env("auth_jwks_url")
        require(self.auth_jwks_file is None, name, f"and {self.env('auth_jwks_file')} exclude each other")
        try:
            url = urlsplit(self.auth_jwks_url)
            url.port  # noqa: B018 - read, to see whether it can be
        except ValueError:
            raise Refused(name, "is no URL") from None
        require(url.scheme in ("http", "https") and bool(url.hostname), name, "must be an https URL")
        require("@" not in url.netloc, name, "must hold no login: keys are public")
        # Whoever can change the keys on the way can make tokens.
        local = url.hostname in ("localhost", "127.0.0.1", "::1")
        require(url.scheme == "https" or local, name, "must be https, but for a provider on this machine")
        refresh = self.env("auth_jwks_refresh")
        require(timedelta(seconds=1) <= self.auth_jwks_refresh <= timedelta(hours=1), refresh, "must be from 1s to 1h")


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    """The servers that the URL of a server names (one of PostgreSQL may name several)."""
    found: list[tuple[str, int]] = []
    authority = re.split(r"[/?#]", url.strip().rpartition("://")[2], maxsplit=1)[0]
    for server in filter(None, authority.rpartition("@")[2].split(",")):
        parts = _LISTEN.fullmatch(server)
        found.append((parts["host"].strip("[]"), int(parts["port"])) if parts else (server.strip("[]"), default_port))
    return found


S = TypeVar("S", bound=ChassisSettings)


def read(cls: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """The settings of the environment and of the files in TOCSIN_SECRETS_DIR, verified. Raises Refused about the first
    that is wrong."""
    try:
        environment = with_secret_files(environment)
    except SecretsUnreadable as error:
        raise Refused(SECRETS_DIR_VARIABLE, error.problem) from None
    given = {field: text for field in cls.model_fields if (text := environment.get(cls.env(field)))}
    try:
        settings = cls(**given)  # pyright: ignore[reportArgumentType] - text, which validation makes what it is to be
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        problem = first["msg"].removeprefix("Value error, ")
        raise Refused(
            _variable(cls, str(first["loc"][0]) if first["loc"] else ""), problem[:1].lower() + problem[1:]
        ) from None
    settings.verify()
    return settings


def load(cls: type[S]) -> S:
    """As `read`, but a refusal is one line on stderr and exit status 2."""
    try:
        return read(cls)
    except Refused as refusal:
        refuse(refusal)


def refuse(refusal: Refused) -> NoReturn:
    """Prints the refusal as one line on stderr and exits with status 2."""
    print(f"error: {refusal}", file=sys.stderr)
    raise SystemExit(2)


def _variable(cls: type[ChassisSettings], loc: str) -> str:
    return cls.env(loc) if loc in cls.model_fields else loc
