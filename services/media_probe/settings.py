"""Settings of the media-probe service, from TOCSIN_MEDIA_PROBE_... and the shared variables."""

from datetime import timedelta

from pydantic import Field

from services.chassis.origins import Origin, Targets
from services.chassis.settings import KIB, MIB, ChassisSettings, Duration, Refused, Size, own_prefix, require


class MediaProbeSettings(ChassisSettings):
    """Sizes are bytes, lists are separated by commas."""

    model_config = own_prefix("TOCSIN_MEDIA_PROBE_")

    video_server: str = ""
    """Where the paths of alerts lead; its address may be private. May have a path of its own. Without one only alerts
    with absolute URLs can be probed."""
    allowed_origins: str = ""
    """Further origins (https://videos.example:8443) for alerts with absolute URLs; their addresses must be public."""
    allowed_targets: str = ""
    """Further origins, and networks (10.1.0.0/16) for URLs that spell an address out, that need not be public."""

    concurrent_probes: int = 48
    """Alerts that are probed at the same time."""
    on_demand_probes: int = 4
    """Calls of ProbeVideo at the same time."""
    workers: int = 2
    """Processes that look into bytes."""
    worker_memory: Size = 256 * MIB
    """Memory of one such process."""
    inspect_within: Duration = timedelta(seconds=5)
    """How long one look into bytes may take."""

    first_bytes: Size = 16 * KIB
    """Fetched of every video; nearly all need no more."""
    max_bytes: Size = 8 * MIB
    """Bytes that are fetched of one video."""
    max_requests: int = 32
    """Requests for one video."""
    max_index: Size = 4 * MIB
    """The largest MP4 index that is fetched."""
    probe_within: Duration = timedelta(seconds=12)
    """How long one probe may take."""
    connect_timeout: Duration = timedelta(seconds=3)
    """How long a video server may take to let us in."""
    read_timeout: Duration = timedelta(seconds=5)
    """How long a video server may send nothing."""

    alert_retention: Duration = Field(timedelta(days=400), validation_alias="TOCSIN_ALERT_RETENTION")
    """How long an alert and what is known of its video are kept; the same for all processes of a mesh."""

    max_attempts: int = 6
    """Attempts at one alert."""
    retry_base: Duration = timedelta(seconds=1)
    """The pause before the second attempt; it doubles."""
    retry_cap: Duration = timedelta(minutes=5)
    """The longest pause between two attempts."""
    ack_wait: Duration = timedelta(seconds=10)
    """After this long without a sign of life the broker gives an alert to another process."""

    def verify(self) -> None:
        """Raises Refused about the first setting that makes no sense."""
        super().verify()
        require(bool(self.postgres_dsn.get_secret_value()), self.env("postgres_dsn"), "is not set")
        require(bool(self.nats_url), self.env("nats_url"), "is not set")
        self._verify_origins()
        bounds: dict[str, tuple[int, int]] = {
            "concurrent_probes": (1, 1000),
            "on_demand_probes": (1, 1000),
            "workers": (1, 64),
            "max_requests": (2, 1000),
            "max_attempts": (1, 100),
            "worker_memory": (64 * MIB, 8192 * MIB),
            "first_bytes": (1 * KIB, 1 * MIB),
            "max_bytes": (64 * KIB, 1024 * MIB),
            "max_index": (64 * KIB, 64 * MIB),
        }
        for name, (minimum, maximum) in bounds.items():
            require(minimum <= getattr(self, name) <= maximum, self.env(name), f"must be from {minimum} to {maximum}")
        for name in ("inspect_within", "probe_within", "connect_timeout", "read_timeout", "retry_base", "ack_wait"):
            value: timedelta = getattr(self, name)
            require(timedelta(0) < value <= timedelta(minutes=10), self.env(name), "must be above 0s and at most 10m")
        require(
            self.first_bytes <= self.max_bytes, self.env("first_bytes"), "must not be more than the maximum of bytes"
        )
        require(self.max_index <= self.max_bytes, self.env("max_index"), "must not be more than the maximum of bytes")
        require(self.retry_cap >= self.retry_base, self.env("retry_cap"), "must not be less than the base")
        require(
            timedelta(days=8) <= self.alert_retention <= timedelta(days=36_500),
            self.env("alert_retention"),
            "must be from 8d (events are kept for 7d) to 36500d",
        )
        require(self.retry_cap <= timedelta(hours=24), self.env("retry_cap"), "must be at most 24h")

    def private_targets(self) -> Targets:
        """What need not be public: the video server, and what is allowed beside it. Raises Refused."""
        name = self.env("video_server")
        require("?" not in self.video_server and "#" not in self.video_server, name, "must be plain")
        try:
            server = Targets.of([Origin.of(self.video_server)] if self.video_server else [])
        except ValueError as error:
            raise Refused(name, str(error)) from None
        return server | self.targets("allowed_targets")

    def _verify_origins(self) -> None:
        self.private_targets()
        public = self.targets("allowed_origins")
        require(not public.networks, self.env("allowed_origins"), "must list origins like https://host:port")
