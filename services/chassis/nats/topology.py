"""The one declaration of Tocsin's JetStream streams and subjects.

Streams whose messages some service must process refuse new messages when they are full (the publisher keeps them:
in its outbox, or by refusing the request), instead of dropping the oldest unprocessed ones. Only WINDOWS, a feed that
no service depends on, drops its oldest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta

import structlog
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError

from services.chassis.errors import ResourceExhausted
from services.chassis.mesh_names import MeshNames
from services.chassis.nats.connection import NatsConnection
from services.chassis.tenants import REQUESTS_OF

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

READINGS = "READINGS"
READINGS_PRIORITY = "READINGS_PRIORITY"
ALERTS = "ALERTS"
VIDEOS = "VIDEOS"
DEBTS = "DEBTS"
DEBT_FILES = "DEBT_FILES"
WINDOWS = "WINDOWS"
ALARMS = "ALARMS"
ALARM_NOTICES = "ALARM_NOTICES"
PAYLOADS = "PAYLOADS"
INVOICES = "INVOICES"
NOTIFICATIONS = "NOTIFICATIONS"
DEAD_LETTERS = "DEAD_LETTERS"
HEALTH = "HEALTH"

EDGE = "edge"
"""The name in which ingestion writes to HEALTH as long as it is asked by the edge for its health, and under which it is
asked."""

EMPTIED_SUBJECT = "tocsin.priority.v1.emptied"
ALERT_REPORTED_SUBJECT = "tocsin.alerts.v1.reported"
VIDEO_STARTED_SUBJECT = "tocsin.videos.v1.started"
VIDEO_PROBED_SUBJECT = "tocsin.videos.v1.probed"
VIDEO_FAILED_SUBJECT = "tocsin.videos.v1.failed"
DEBTS_REGISTERED_SUBJECT = "tocsin.debts.v1.registered"
DEBT_DECIDED_SUBJECT = "tocsin.debts.v1.decided"
DEBT_FILE_COMPLETED_SUBJECT = "tocsin.debt_files.v1.completed"
INVOICES_CHANGED_SUBJECT = "tocsin.invoices.v1.changed"
ALARM_RAISED_SUBJECT = "tocsin.alarms.v1.raised"
ALARM_CLEARED_SUBJECT = "tocsin.alarms.v1.cleared"
ALARM_NOTICE_SUBJECT = "tocsin.alarm_notices.v1.raised"
COUNTING_VALUES_SUBJECT = "tocsin.counting_values.v1.asked"
"""A question, stored by no stream: which values count of readings that have come again with others."""

INVOICE_CANCELLATION_SUBJECT = "tocsin.invoice_cancellation.v1.asked"
"""A request, stored by no stream: to take the invoices of a debt file back."""

INVOICE_ERASURE_SUBJECT = "tocsin.invoice_erasure.v1.asked"
"""A request, stored by no stream: to erase the personal data of debtors in their invoices."""

VIDEO_ATTEMPTS_SUBJECT = "tocsin.video_attempts.v1.asked"
"""A question, stored by no stream: which probes there were of the video of an alert."""

EVENT_DELIVERIES_SUBJECT = "tocsin.event_deliveries.v1.asked"
"""A question, stored by no stream: to which webhook subscriptions events went."""

HANDLERS_SUBJECT = "tocsin.handlers.v1.asked"
"""A question to every process, stored by no stream: what it knows of its handlers."""

PUBLIC_SUBJECTS = (
    VIDEO_PROBED_SUBJECT,
    VIDEO_FAILED_SUBJECT,
    DEBT_FILE_COMPLETED_SUBJECT,
    "tocsin.windows.v1.closed.>",
    "tocsin.alarms.v1.>",
)
"""What downstream teams may read; everything else is private (it may hold personal data)."""


def notification_requests_stream(tenant: str) -> str:
    """The stream of what the trusted publisher of a tenant asks for. One for each tenant: none fills another's, and the
    id of a message (`Nats-Msg-Id`) is known again within a stream alone."""
    return f"{REQUESTS_OF}{tenant}"


def notification_request_subject(tenant: str, request: str) -> str:
    """Subject of one kind of request of a tenant's publisher: one of `NOTIFICATION_REQUESTS`."""
    return f"tocsin.notification_requests.v1.{tenant}.{request}"


NOTIFICATION_REQUESTS = ("send", "send_bulk", "receipt")


def tenant_of_request(subject: str) -> str:
    """The tenant in a `notification_request_subject`; empty for every other subject."""
    match subject.split("."):
        case ["tocsin", "notification_requests", "v1", tenant, _]:
            return tenant
        case _:
            return ""


def notification_status_subject(tenant: str) -> str:
    """Subject of the changes of the statuses of a tenant's notifications."""
    return f"tocsin.notifications.v1.status_changed.{tenant}"


def request_refused_subject(tenant: str) -> str:
    """Subject of the refusals of what a tenant's publisher has asked for."""
    return f"tocsin.notifications.v1.refused.{tenant}"


def readings_subject(partition: int) -> str:
    """Subject of one partition of the readings (0-based)."""
    return f"tocsin.readings.v1.{partition}"


def payloads_subject(format_name: str) -> str:
    """Subject where gateways that speak NATS publish the payloads (JSON as the vendor sends it) of one format."""
    return f"tocsin.payloads.v1.{format_name}"


def window_closed_subject(building: str, room: str, sensor_type: str) -> str:
    """Subject of a series' windows; the ids must be valid resource ids (no dots, spaces or wildcards)."""
    return f"tocsin.windows.v1.closed.{building}.{room}.{sensor_type}"


def dead_letter_subject(service: str, consumer: str) -> str:
    """Subject of the dead letters of one consumer."""
    return f"tocsin.dead_letters.v1.{service}.{consumer}"


def health_subject(asking: str) -> str:
    """Subject to which one that asks publishes to learn whether messages are stored."""
    return f"tocsin.health.v1.{asking}"


MIB = 1024 * 1024
LEAST_STREAM_BYTES = 16 * MIB
"""No stream is made smaller because the disk is: it must hold a few of the largest messages."""


@dataclass(frozen=True, kw_only=True)
class TopologyOptions:
    """What a deployment may choose about the streams."""

    replicas: int = 1
    partitions: int = 8
    """Number of partitions of the readings; the same for all processes of a mesh."""
    max_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Stream name -> bytes, in place of the defaults."""
    tenants: tuple[str, ...] = ()
    """The tenants of the notifications; each has a stream of requests."""


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """One stream of the topology."""

    name: str
    subjects: tuple[str, ...]
    description: str
    work_queue: bool = False
    """A work queue keeps a message until its one consumer acknowledges it; others keep it for `max_age`."""
    max_age: timedelta = timedelta(0)
    max_bytes: int = 256 * MIB
    """Reserved on the server; -1: bounded otherwise."""
    max_messages: int = -1
    max_of_subject: int = -1
    max_message: int = -1
    """Bytes of one message with its headers; -1: whatever the server takes."""
    discard_old: bool = False
    batches: bool = False
    """Whether it takes many events as one write: for those that come in bundles."""
    duplicate_window: timedelta = timedelta(minutes=5)

    def config(self, options: TopologyOptions, names: MeshNames) -> StreamConfig:
        """The configuration as JetStream takes it."""
        return StreamConfig(
            name=names.stream(self.name),
            description=self.description,
            subjects=[names.subject(subject) for subject in self.subjects],
            retention=RetentionPolicy.WORK_QUEUE if self.work_queue else RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD if self.discard_old else DiscardPolicy.NEW,
            storage=StorageType.FILE,
            max_age=self.max_age.total_seconds(),
            max_bytes=options.max_bytes.get(self.name, self.max_bytes),
            max_msgs=self.max_messages,
            max_msgs_per_subject=self.max_of_subject,
            max_msg_size=self.max_message,
            duplicate_window=self.duplicate_window.total_seconds(),
            num_replicas=options.replicas,
            allow_atomic=self.batches or None,
        )


_WEEK = timedelta(days=7)


def stream_specs(options: TopologyOptions) -> tuple[StreamSpec, ...]:
    """All streams of the mesh."""
    return (
        StreamSpec(
            name=READINGS,
            subjects=tuple(readings_subject(n) for n in range(options.partitions)),
            description="Accepted sensor readings on their way to aggregation, in partitions.",
            work_queue=True,
            max_bytes=2048 * MIB,
            duplicate_window=timedelta(minutes=2),
        ),
        StreamSpec(
            name=READINGS_PRIORITY,
            subjects=(EMPTIED_SUBJECT,),
            description="Readings that must overtake the others: containers emptied.",
            work_queue=True,
        ),
        StreamSpec(
            name=ALERTS,
            subjects=("tocsin.alerts.v1.>",),
            description="Video alerts reported by cameras.",
            max_age=_WEEK,
            batches=True,
        ),
        StreamSpec(
            name=VIDEOS,
            subjects=("tocsin.videos.v1.>",),
            description="Probes of videos: started, probed, failed.",
            max_age=_WEEK,
            batches=True,
        ),
        StreamSpec(
            name=DEBTS,
            subjects=("tocsin.debts.v1.>",),
            description="Batches of debts registered from files (personal data).",
            max_age=_WEEK,
            max_bytes=2048 * MIB,
            batches=True,
        ),
        StreamSpec(
            name=DEBT_FILES,
            subjects=("tocsin.debt_files.v1.>",),
            description="Debt files that have been processed to their end.",
            max_age=_WEEK,
            batches=True,
        ),
        StreamSpec(
            name=WINDOWS,
            subjects=("tocsin.windows.v1.>",),
            description="Closed aggregation windows.",
            max_age=timedelta(days=2),
            max_bytes=1024 * MIB,
            discard_old=True,
            batches=True,
        ),
        StreamSpec(
            name=ALARMS,
            subjects=("tocsin.alarms.v1.>",),
            description="Alarms raised and cleared.",
            max_age=_WEEK,
            batches=True,
        ),
        StreamSpec(
            name=ALARM_NOTICES,
            subjects=("tocsin.alarm_notices.v1.>",),
            description="Whom to tell of raised alarms (personal data).",
            max_age=_WEEK,
            batches=True,
        ),
        StreamSpec(
            name=PAYLOADS,
            subjects=(payloads_subject("*"),),
            description="Vendor payloads of gateways that speak NATS, on their way to ingestion.",
            work_queue=True,
            max_bytes=1024 * MIB,
            # 64 KiB of payload, as over REST; a gateway that sends more is told so.
            max_message=72 * 1024,
        ),
        StreamSpec(
            name=INVOICES,
            subjects=(INVOICES_CHANGED_SUBJECT,),
            description="Changes of the state of invoices, on their way to the status of debts.",
            work_queue=True,
            batches=True,
        ),
        StreamSpec(
            name=NOTIFICATIONS,
            subjects=("tocsin.notifications.v1.>",),
            description="Changes of the status of notifications (personal data).",
            max_age=_WEEK,
            max_bytes=1024 * MIB,
            batches=True,
        ),
        *(
            StreamSpec(
                name=notification_requests_stream(tenant),
                subjects=(notification_request_subject(tenant, "*"),),
                description=f"What the publisher of {tenant} asks notification for (personal data).",
                work_queue=True,
                max_bytes=64 * MIB,
                # What is refused fits a dead letter as a whole.
                max_message=1008 * 1024,
            )
            for tenant in options.tenants
        ),
        StreamSpec(
            name=DEAD_LETTERS,
            subjects=("tocsin.dead_letters.v1.>",),
            description="What could not be processed, with its reason and history.",
            max_age=timedelta(days=90),
            max_bytes=1024 * MIB,
            batches=True,
        ),
        StreamSpec(
            name=HEALTH,
            subjects=(health_subject("*"),),
            description="Written to learn whether messages are stored; the last of each says that its service works.",
            # Bounded by these, it need not reserve anything.
            max_messages=16,
            max_of_subject=1,
            max_message=1024,
            max_bytes=-1,
            discard_old=True,
            duplicate_window=timedelta(seconds=1),
        ),
    )


# JetStream's codes for a server, and for an account, that has less left than a stream is to reserve.
_NO_ROOM = frozenset({10047, 10002})


class NoRoomForStreams(ResourceExhausted):
    """The server does not reserve for the streams what they may take."""

    def __init__(self, stream: str, options: TopologyOptions, *, reserved: int) -> None:
        limits = stream_bytes(options)
        super().__init__(
            f"its JetStream has no room for {stream} ({mebibytes(limits[stream])}): all streams may take "
            f"{mebibytes(sum(limits.values()))}, {mebibytes(reserved)} are reserved for them so far; raise "
            "max_file_store of the server (where it is not set: 75 % of what was free on its disk when it started)"
        )


def mebibytes(size: int) -> str:
    """A number of bytes for people: `1,216 MiB`."""
    return f"{size // MIB:,} MiB"


def stream_bytes(options: TopologyOptions) -> dict[str, int]:
    """The limit of each stream that has one, in bytes."""
    limits = {spec.name: options.max_bytes.get(spec.name, spec.max_bytes) for spec in stream_specs(options)}
    return {name: limit for name, limit in limits.items() if limit > 0}


def fitted(options: TopologyOptions, room: int) -> TopologyOptions:
    """`options` with the limits of the streams halved until together they take at most `room` bytes.

    Limits that `options` names are kept, and none falls below `LEAST_STREAM_BYTES`, so that with very little room the
    sum may be above it. By halves, as a disk that is a little fuller than yesterday should change nothing.
    """
    chosen = {name: size for name, size in stream_bytes(options).items() if name in options.max_bytes}
    defaults = {name: size for name, size in stream_bytes(options).items() if name not in options.max_bytes}
    while (
        sum(defaults.values()) > room - sum(chosen.values()) and max(defaults.values(), default=0) > LEAST_STREAM_BYTES
    ):
        defaults = {name: max(size // 2, LEAST_STREAM_BYTES) for name, size in defaults.items()}
    return replace(options, max_bytes={**defaults, **chosen})


async def ensure_streams(connection: NatsConnection, options: TopologyOptions, *, dry_run: bool = False) -> list[str]:
    """Creates missing streams of the mesh and updates those whose configuration differs; returns the names it touched,
    or with `dry_run` would touch.

    A stream keeps its limit in bytes as long as a smaller one would leave no room beside what it holds. One request
    when nothing changed. Several processes may do it at once. Raises `NoRoomForStream` where the server refuses to
    reserve what a stream may take.
    """
    js, names, specs = connection.js, connection.names, stream_specs(options)
    there = {info.config.name: info for info in await js.streams_info()}
    existing = {spec.name: there[name] for spec in specs if (name := names.stream(spec.name)) in there}
    limits = {name: info.config.max_bytes or 0 for name, info in existing.items()}
    touched: list[str] = []
    for spec in specs:
        wanted = spec.config(options, names)
        found = existing.get(spec.name)
        if found is not None:
            wanted = _not_too_tight(found, wanted)
            if not _differs(found.config, wanted):
                continue
        if dry_run:
            touched.append(spec.name)
            continue
        try:
            await (js.add_stream(wanted) if found is None else js.update_stream(wanted))
        except APIError as error:
            if error.err_code not in _NO_ROOM:
                raise
            raise NoRoomForStreams(spec.name, options, reserved=sum(limits.values())) from error
        limits[spec.name] = wanted.max_bytes or 0
        touched.append(spec.name)
        log.info("nats.stream_ensured", stream=wanted.name, created=found is None, max_bytes=wanted.max_bytes)
    return touched


def _not_too_tight(found: StreamInfo, wanted: StreamConfig) -> StreamConfig:
    """`wanted`, but with the limit that the stream has, where a smaller one would be half full at once."""
    has, would_have = found.config.max_bytes or 0, wanted.max_bytes or 0
    shrinks = would_have > 0 and (has <= 0 or would_have < has)
    return replace(wanted, max_bytes=has) if shrinks and found.state.bytes > would_have // 2 else wanted


_COMPARED = (
    "description",
    "subjects",
    "retention",
    "discard",
    "storage",
    "max_age",
    "max_bytes",
    "max_msgs",
    "max_msgs_per_subject",
    "max_msg_size",
    "duplicate_window",
    "num_replicas",
    "allow_atomic",
)


def _differs(current: StreamConfig, wanted: StreamConfig) -> bool:
    have, want = asdict(current), asdict(wanted)
    return any(have[name] != want[name] for name in _COMPARED)
