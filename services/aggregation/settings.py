"""What aggregation reads from the environment, beside what every service reads."""

import os
import socket
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from services.aggregation.domain.alarms.book import EvaluatorOptions
from services.aggregation.domain.alarms.rule import Audience
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.times import DAY, SECOND
from services.chassis.ids import uuid7
from services.chassis.settings import ChassisSettings, Duration, Refused, own_prefix, parse_duration, require

MIGRATIONS = Path(__file__).parent / "migrations"

_MICROSECOND = timedelta(microseconds=1)


class AggregationSettings(ChassisSettings):
    """`TOCSIN_AGGREGATION_...`, except where an alias says otherwise."""

    model_config = own_prefix("TOCSIN_AGGREGATION_")

    partitions: int = Field(8, validation_alias="TOCSIN_READINGS_PARTITIONS")
    """Partitions of the readings; the same for all processes of a mesh."""
    steps: str = "1m,15m,1h,1d"
    """Steps of the stored windows. Windows of 5 s are computed when asked for. Add `5s` to store (and announce) them
    too."""
    announced_steps: str = "1m,15m,1h,1d"
    """Steps whose closed windows are published."""
    announce_fine_within: Duration = timedelta(minutes=10)
    """Windows shorter than 15 minutes are published only while they are no older than this."""
    grace: Duration = timedelta(seconds=2)
    """A window closes when a reading this much after its end has come."""
    edge_wait: Duration = timedelta(seconds=60)
    """How long the window of a quiet series waits for the reading after its end, at the most."""
    lateness: Duration = timedelta(hours=1)
    """How late a reading may come and still change its window by itself; later ones wait for a recomputation."""
    gap_intervals: int = 3
    """A gap is longer than so many intervals of the series."""
    default_max_gap: Duration = timedelta(minutes=15)
    """The same for a series whose interval is not known."""
    raw_retention: Duration = timedelta(days=400)
    """How long readings are kept."""
    fine_retention: Duration = timedelta(days=400)
    """How long windows shorter than 15 minutes are kept."""
    window_retention: Duration = timedelta(days=10 * 365)
    """How long windows of 15 minutes and more are kept."""
    alarm_retention: Duration = timedelta(days=400)
    """How long cleared alarms are kept."""
    max_alarm_rules: int = 10_000
    """Alarm rules there may be."""
    alarm_news_age: Duration = timedelta(hours=1)
    """What is older than this when it is accepted raises alarms that tell nobody."""
    tenants: str = Field("diabetes,wellness,maternity,test", validation_alias="TOCSIN_NOTIFICATION_TENANTS")
    """The tenants of the deployment, as notification knows them: rules that tell people name one of them."""
    silence_grace: Duration = timedelta(minutes=5)
    """After a start or an outage, in which no readings could be taken, a series is waited for as long as its rule
    says, but no longer than this, or than three of its intervals where these are longer."""
    operators_tenant: str = ""
    """On behalf of which tenant operators are told."""
    operators_users: str = ""
    """Users to tell, separated by commas, when the broker has lost readings that it had acknowledged."""
    lease_beat: Duration = timedelta(seconds=1)
    """How often a replica says that it lives."""
    lease_ttl: Duration = timedelta(seconds=4)
    """A replica that gives no sign of life for this long loses its partitions."""
    max_rows: int = 100_000
    """Readings of one transaction, about."""
    max_messages: int = 48
    """Messages of one partition in hand."""
    max_watchers: int = 200
    """Live streams of windows at the same time."""
    watcher_capacity: int = 1000
    """Windows that wait for one live stream; one that is slower is ended."""
    database_pool: int = 16
    """Sessions at the database, at most."""

    @property
    def rules(self) -> Rules:
        """How windows are kept. Raises Refused."""
        return Rules(
            steps=self._steps("steps"),
            announced=self._steps("announced_steps"),
            announce_fine_within=self.announce_fine_within // _MICROSECOND,
            grace=self.grace // _MICROSECOND,
            edge_wait=self.edge_wait // _MICROSECOND,
            lateness=self.lateness // _MICROSECOND,
            gap_intervals=self.gap_intervals,
            default_max_gap=self.default_max_gap // _MICROSECOND,
        )

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """The tenants, in the order given."""
        return tuple(filter(None, map(str.strip, self.tenants.split(","))))

    @property
    def evaluation(self) -> EvaluatorOptions:
        """How alarm rules are evaluated."""
        return EvaluatorOptions(
            silence_grace=self.silence_grace // _MICROSECOND, news_age=self.alarm_news_age // _MICROSECOND
        )

    @property
    def operators(self) -> Audience:
        """Whom to tell of what only operators can do something about."""
        return Audience(self.operators_tenant, tuple(filter(None, map(str.strip, self.operators_users.split(",")))), "")

    @property
    def owner(self) -> str:
        """The name of this replica: readable, and never used twice."""
        return f"{socket.gethostname()}-{os.getpid()}-{uuid7()}"

    def _steps(self, name: str) -> tuple[int, ...]:
        found: list[int] = []
        for text in getattr(self, name).split(","):
            try:
                step = parse_duration(text.strip())
            except ValueError as error:
                raise Refused(self.env(name), f"must list durations; {text.strip()!r} {error}") from None
            assert isinstance(step, timedelta)
            found.append(step // _MICROSECOND)
        return tuple(found)

    def verify(self) -> None:
        """Raises Refused about the first setting that makes no sense."""
        super().verify()
        for name in ("postgres_dsn", "nats_url"):
            value = getattr(self, name)
            text = value if isinstance(value, str) else value.get_secret_value()
            require(bool(text), self.env(name), "must be set")
        require(1 <= self.partitions <= 1024, self.env("partitions"), "must be from 1 to 1024")
        require(
            bool(self.operators.tenant) or not self.operators.users,
            self.env("operators_tenant"),
            f"must be set with {self.env('operators_users')}",
        )
        self._verify_steps()
        for name, minimum, maximum in (
            ("grace", timedelta(0), timedelta(minutes=5)),
            ("edge_wait", timedelta(0), timedelta(hours=1)),
            ("lateness", timedelta(seconds=10), timedelta(days=31)),
            ("announce_fine_within", timedelta(0), timedelta(days=36500)),
            ("default_max_gap", timedelta(seconds=1), timedelta(days=1)),
            ("raw_retention", timedelta(days=2), timedelta(days=36500)),
            ("fine_retention", timedelta(days=2), timedelta(days=36500)),
            ("window_retention", timedelta(days=31), timedelta(days=36500)),
            ("alarm_retention", timedelta(days=1), timedelta(days=36500)),
            ("silence_grace", timedelta(0), timedelta(days=1)),
            ("alarm_news_age", timedelta(minutes=1), timedelta(days=366)),
            ("lease_beat", timedelta(milliseconds=50), timedelta(minutes=1)),
        ):
            require(minimum <= getattr(self, name) <= maximum, self.env(name), f"must be from {minimum} to {maximum}")
        require(self.lateness < self.raw_retention, self.env("lateness"), "must be shorter than the raw retention")
        require(self.lease_ttl >= 3 * self.lease_beat, self.env("lease_ttl"), "must be at least three beats")
        require(1 <= self.gap_intervals <= 100, self.env("gap_intervals"), "must be from 1 to 100")
        require(1000 <= self.max_rows <= 5_000_000, self.env("max_rows"), "must be from 1000 to 5000000")
        require(2 <= self.max_messages <= 4096, self.env("max_messages"), "must be from 2 to 4096")
        require(1 <= self.max_alarm_rules <= 100_000, self.env("max_alarm_rules"), "must be from 1 to 100000")
        require(1 <= self.max_watchers <= 100_000, self.env("max_watchers"), "must be from 1 to 100000")
        require(1 <= self.watcher_capacity <= 1_000_000, self.env("watcher_capacity"), "must be from 1 to 1000000")
        require(3 <= self.database_pool <= 200, self.env("database_pool"), "must be from 3 to 200")

    def _verify_steps(self) -> None:
        rules = self.rules
        require(bool(rules.steps), self.env("steps"), "must list at least one step")
        for small, large in zip((BASE, *rules.steps), rules.steps, strict=False):
            fits = large % small == 0 and (small < large or small == large == BASE)
            require(fits, self.env("steps"), "must ascend, each a multiple of the one before and of 5s")
        require(rules.steps[0] % SECOND == 0 and rules.steps[-1] <= DAY, self.env("steps"), "must be at most 1d")
        for step in rules.announced:
            require(step in rules.steps, self.env("announced_steps"), "must be among the stored steps")
