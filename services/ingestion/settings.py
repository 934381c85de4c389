"""What ingestion reads from the environment, beside what every service reads."""

import re
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from services.chassis.bucket_settings import ObjectStorageSettings
from services.chassis.currencies import currency_places
from services.chassis.origins import Origin, Targets
from services.chassis.settings import GIB, KIB, MIB, Duration, Refused, Size, own_prefix, require
from services.chassis.signed_urls import SignedUrls, read_keys
from services.ingestion.domain.debts.reject_limit import RejectLimit

MIGRATIONS = Path(__file__).parent / "migrations"


class IngestionSettings(ObjectStorageSettings):
    """`TOCSIN_INGESTION_...`, except where an alias says otherwise."""

    model_config = own_prefix("TOCSIN_INGESTION_")

    partitions: int = Field(8, validation_alias="TOCSIN_READINGS_PARTITIONS")
    """Partitions of the readings; the same for all processes of a mesh."""
    auto_register: bool = True
    """A reading of an unknown building, room or device registers it."""
    max_auto_registered: int = 100_000
    """As many buildings, rooms and devices, each, there may be before readings register no more of them."""
    future_tolerance: Duration = timedelta(minutes=5)
    """By how much the time of a reading may be ahead of ours."""
    retention: Duration = timedelta(days=400)
    """How old a reading may be, and how long what has happened is remembered."""
    linger: Duration = timedelta(0)
    """How long the first reading of an idle partition waits for company. Under load there is company without waiting:
    what arrives while a message is on its way is the next one."""
    max_batch_rows: int = 10_000
    """Readings in one message of the broker."""
    max_batch_size: Size = 640 * KIB
    """Bytes of one message of the broker."""
    max_pending: Size = 64 * MIB
    """Readings that may wait for their acknowledgement, in about this many bytes."""
    admission_timeout: Duration = timedelta(seconds=2)
    """How long a reading waits for room among the pending ones before it is refused."""
    publish_timeout: Duration = timedelta(seconds=3)
    """How long the broker may take to acknowledge."""
    stream_in_flight: int = 16
    """Batches of one stream that may be under way."""
    idempotency_lifetime: Duration = timedelta(hours=24)
    """How long an idempotency key is remembered."""
    quarantine_most: int = 5000
    """Payloads that are kept in the quarantine; the oldest go first."""
    video_server: str = Field("", validation_alias="TOCSIN_MEDIA_PROBE_VIDEO_SERVER")
    """Where the paths of alerts lead; its address may be private. May have a path of its own. Without one only alerts
    with absolute URLs can be probed."""
    video_public: str = Field("", validation_alias="TOCSIN_MEDIA_PROBE_ALLOWED_ORIGINS")
    """Further origins (https://videos.example:8443) for alerts with absolute URLs; their addresses must be public."""
    video_private: str = Field("", validation_alias="TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS")
    """Further origins, and networks (10.1.0.0/16) for URLs that spell an address out, that need not be public."""
    video_origins: str = ""
    """Still further ones, that another media-probe than the mesh's own is told of."""
    alert_retention: Duration = Field(timedelta(days=400), validation_alias="TOCSIN_ALERT_RETENTION")
    """How long an alert and what is known of its video are kept; the same for all processes of a mesh."""
    database_pool: int = 10
    """Sessions at the database, at most."""

    debt_max_file: Size = 2 * GIB
    """Bytes of a debt file."""
    debt_max_uploads: int = 4
    """Debt files that one process takes in at a time."""
    debt_block: Size = MIB
    """How much of a debt file is parsed and committed together."""
    debt_event_size: int = 250
    """Debts in one event."""
    debt_idle: Duration = timedelta(minutes=1)
    """How long the client of an upload may send nothing."""
    debt_least_rate: Size = 4 * KIB
    """Bytes a second that the client of an upload must send, on the average of each TOCSIN_INGESTION_DEBT_IDLE."""
    debt_receive_within: Duration = timedelta(hours=2)
    """How long the bytes of a debt file may take to come, in all."""
    debt_lease: Duration = timedelta(seconds=10)
    """How long after the death of its process a debt file is declared failed that nobody can go on with."""
    debt_resume_within: Duration = timedelta(minutes=10)
    """How long after the death of its process a debt file fails whose text is kept, when no process has gone on with
    it."""
    debt_spool: Path | None = None
    """Directory for uploads under way: a process that has it goes on with what a dead one has left there. By default
    the system's for temporary files, where nothing outlives the process."""

    debt_workbook_memory: Size = GIB
    """What reading a workbook (xlsx) may take of memory, in a process of its own; one is read at a time."""
    debt_reject_limit: str = ""
    """Rejected rows at which a debt file that says nothing itself is refused as a whole, in rows (`1000`) or per cent
    (`5%`); none by default. A limit makes a file be read twice."""
    debt_currency: str = Field("", validation_alias="TOCSIN_DEBT_CURRENCY")
    """Currency (ISO 4217) of debts whose file and profile name none; the same for all processes of a mesh."""
    debt_due_past: Duration = timedelta(days=3653)
    """How long ago a debt may have been due."""
    debt_due_ahead: Duration = timedelta(days=18_263)
    """How far ahead a debt may be due."""
    debt_reject_retention: Duration = timedelta(days=90)
    """How long the rejected rows of a debt file are kept after its end: they hold personal data."""
    debt_file_retention: Duration = timedelta(days=400)
    """How long a debt file is kept after its end; its debts stay."""

    public_url: str = ""
    """The address at which people reach the edge, like https://tocsin.example: signed URLs begin with it. Without it
    they begin with their path."""
    debt_upload_key_file: Path | None = None
    """What the URLs of announced debt files are signed with: random texts of 32 characters or more, one a line. The
    first signs, all of them are good. The same for all replicas; the runtime makes one."""
    debt_upload_ttl: Duration = timedelta(hours=1)
    """How long an announced debt file is awaited that does not say it itself."""
    debt_resumable_ttl: Duration = timedelta(days=1)
    """How long a debt file that comes in parts is awaited; what came of it is removed then."""
    debt_upload_max_ttl: Duration = timedelta(days=7)
    """How long an announced debt file may ask to be awaited."""
    debt_open_uploads: int = 1000
    """Announced debt files that are awaited at a time."""
    debt_open_uploads_of_caller: int = 100
    """Announced debt files of one caller that are awaited at a time."""
    debt_parts_size: Size = 16 * GIB
    """Bytes of announced debt files that come in parts, in all; they are kept in the database until they are
    processed."""
    debt_max_appends: int = 32
    """Streams with parts of debt files that one process takes at a time."""

    debt_bucket: str = ""
    """A bucket of an S3-compatible object storage (`TOCSIN_S3_...`) through which debt files come: announced ones by
    signed URLs of the storage, and those that are put into its inbox."""
    debt_bucket_prefix: str = "debts/"
    """What the keys of debt files in the bucket begin with; `uploads/` or `inbox/` follows."""
    debt_bucket_poll: Duration = timedelta(seconds=15)
    """How often new debt files are looked for in the bucket; events of it are faster."""
    debt_bucket_kept: Duration = timedelta(days=1)
    """How long a debt file stays in the bucket once it has been processed."""

    def upload_urls(self) -> SignedUrls | None:
        """What signs the URLs of announced files; None without a key. Raises Refused."""
        if self.debt_upload_key_file is None:
            return None
        try:
            return SignedUrls(read_keys(self.debt_upload_key_file), "PUT", "/v1/debtFiles:content")
        except (OSError, ValueError) as error:
            raise Refused(self.env("debt_upload_key_file"), f"cannot be used: {error}") from None

    def _verify_uploads(self) -> None:
        self.upload_urls()
        self.object_storage(self.debt_bucket)
        require(
            re.fullmatch(r"([A-Za-z0-9_.-]+/)*", self.debt_bucket_prefix) is not None,
            self.env("debt_bucket_prefix"),
            "must be empty or end with /, of letters, digits and . _ -",
        )
        require(
            timedelta(seconds=1) <= self.debt_bucket_poll <= timedelta(hours=1),
            self.env("debt_bucket_poll"),
            "must be from 1s to 1h",
        )
        require(
            timedelta(0) <= self.debt_bucket_kept <= timedelta(days=5), self.env("debt_bucket_kept"), "must be 0s to 5d"
        )
        require(
            timedelta(minutes=1) <= self.debt_upload_ttl <= self.debt_upload_max_ttl <= timedelta(days=31),
            self.env("debt_upload_max_ttl"),
            f"must be from {self.env('debt_upload_ttl')}, which is 1m at least, to 31d",
        )
        require(
            timedelta(minutes=1) <= self.debt_resumable_ttl <= self.debt_upload_max_ttl,
            self.env("debt_resumable_ttl"),
            f"must be from 1m to {self.env('debt_upload_max_ttl')}",
        )
        require(self.debt_parts_size >= 64 * KIB, self.env("debt_parts_size"), "must be at least 64KiB")
        for name in ("debt_open_uploads", "debt_open_uploads_of_caller", "debt_max_appends"):
            require(1 <= getattr(self, name) <= 1_000_000, self.env(name), "must be from 1 to 1000000")
        if self.public_url:
            try:
                Origin.of(self.public_url)
            except ValueError as error:
                raise Refused(self.env("public_url"), str(error)) from None

    def _verify_debts(self) -> None:
        require(64 * KIB <= self.debt_max_file <= 64 * GIB, self.env("debt_max_file"), "must be from 64KiB to 64GiB")
        require(1 <= self.debt_max_uploads <= 64, self.env("debt_max_uploads"), "must be from 1 to 64")
        require(64 * KIB <= self.debt_block <= 64 * MIB, self.env("debt_block"), "must be from 64KiB to 64MiB")
        require(1 <= self.debt_event_size <= 1000, self.env("debt_event_size"), "must be from 1 to 1000")
        for name in ("debt_idle", "debt_lease", "debt_resume_within"):
            value = getattr(self, name)
            require(timedelta(seconds=1) <= value <= timedelta(hours=1), self.env(name), "must be from 1s to 1h")
        require(0 <= self.debt_least_rate <= 64 * MIB, self.env("debt_least_rate"), "must be from 0 to 64MiB")
        within = self.debt_receive_within
        require(
            self.debt_idle <= within <= timedelta(days=7),
            self.env("debt_receive_within"),
            "must be from the idle time to 7d",
        )
        require(
            64 * MIB <= self.debt_workbook_memory <= 64 * GIB,
            self.env("debt_workbook_memory"),
            "must be from 64MiB to 64GiB",
        )
        try:
            RejectLimit.parse(self.debt_reject_limit)
        except ValueError as error:
            require(False, self.env("debt_reject_limit"), str(error))
        currency = self.debt_currency
        require(not currency or currency in currency_places(), self.env("debt_currency"), "must be one like EUR or BRL")
        for name in ("debt_due_past", "debt_due_ahead"):
            value = getattr(self, name)
            require(timedelta(0) <= value <= timedelta(days=36_525), self.env(name), "must be from 0s to 36525d")
        require(
            timedelta(hours=1) <= self.debt_reject_retention <= self.debt_file_retention <= timedelta(days=36_500),
            self.env("debt_reject_retention"),
            f"must be at least 1h, and at most {self.env('debt_file_retention')}, which is at most 36500d",
        )
        spool = self.debt_spool
        require(spool is None or spool.is_dir(), self.env("debt_spool"), f"names no directory: {spool}")

    def video_targets(self) -> Targets:
        """The origins and networks of videos, which are those of media-probe. Raises Refused."""
        try:
            server = Targets.of([Origin.of(self.video_server)] if self.video_server else [])
        except ValueError as error:
            raise Refused(self.env("video_server"), str(error)) from None
        found = server
        for field in ("video_public", "video_private", "video_origins"):
            found = found | self.targets(field)
        return found

    def verify(self) -> None:
        """Raises Refused about the first setting that makes no sense."""
        super().verify()
        for name in ("postgres_dsn", "nats_url"):
            value = getattr(self, name)
            text = value if isinstance(value, str) else value.get_secret_value()
            require(bool(text), self.env(name), "must be set")
        require(1 <= self.partitions <= 1024, self.env("partitions"), "must be from 1 to 1024")
        require(
            timedelta(0) <= self.future_tolerance <= timedelta(days=1), self.env("future_tolerance"), "must be 0s to 1d"
        )
        require(
            timedelta(hours=1) <= self.retention <= timedelta(days=36_500), self.env("retention"), "must be 1h to 100y"
        )
        require(timedelta(0) <= self.linger <= timedelta(seconds=1), self.env("linger"), "must be 0s to 1s")
        require(1 <= self.max_batch_rows <= 100_000, self.env("max_batch_rows"), "must be from 1 to 100000")
        require(
            16 * KIB <= self.max_batch_size <= 6 * MIB,
            self.env("max_batch_size"),
            "must be from 16KiB to 6MiB (the broker takes at most 8 MiB in one message)",
        )
        require(self.max_batch_size <= self.max_pending, self.env("max_pending"), "must hold at least one batch")
        for name in ("admission_timeout", "publish_timeout"):
            value = getattr(self, name)
            require(timedelta(0) < value <= timedelta(minutes=1), self.env(name), "must be above 0s and at most 1m")
        maximum = self.max_auto_registered
        require(1 <= maximum <= 10_000_000, self.env("max_auto_registered"), "must be from 1 to 10000000")
        require(1 <= self.stream_in_flight <= 1024, self.env("stream_in_flight"), "must be from 1 to 1024")
        require(
            timedelta(minutes=1) <= self.idempotency_lifetime <= timedelta(days=31),
            self.env("idempotency_lifetime"),
            "must be 1m to 31d",
        )
        require(1 <= self.quarantine_most <= 1_000_000, self.env("quarantine_most"), "must be from 1 to 1000000")
        require(1 <= self.database_pool <= 200, self.env("database_pool"), "must be from 1 to 200")
        require(
            timedelta(days=8) <= self.alert_retention <= timedelta(days=36_500),
            self.env("alert_retention"),
            "must be from 8d (events are kept for 7d) to 36500d",
        )
        self._verify_debts()
        self._verify_uploads()
        self.video_targets()
