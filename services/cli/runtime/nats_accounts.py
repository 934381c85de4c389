"""Who may do what on the embedded NATS: one user per service, and accounts of their own for downstream teams, for
gateways, and for the trusted publisher of each tenant.

The matrix below is the whole truth, in the names that code has; `nats_server` renders it, in those of the mesh.
Services may publish what they own, read the streams that they act upon and dead-letter what they cannot process. Only
the runtime shapes streams.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.chassis.mesh_names import MeshNames
from services.chassis.nats import topology

RUNTIME_USER = "runtime"
CLI_USER = "cli"
DOWNSTREAM_USER = "downstream"
GATEWAY_USER = "gateway"
SYSTEM_USER = "system"
"""Asks the embedded server about itself; no other account can."""
_INBOX = "_INBOX.>"
INVOICES_BUCKET = "TOCSIN_INVOICES"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish to and subscribe to; None: every one."""

    publish: tuple[str, ...] | None
    subscribe: tuple[str, ...] | None
    publish_denied: tuple[str, ...] = ()
    answers: bool = False
    """May publish to where a message that it has received wants its answer."""


@dataclass(frozen=True, slots=True)
class _Duty:
    publishes: tuple[str, ...]
    reads: tuple[str, ...]
    hears: tuple[str, ...] = ()
    """Subjects that it follows as they pass, without a consumer."""
    answers: tuple[str, ...] = ()
    """Subjects of questions that it answers."""
    keeps: tuple[str, ...] = ()
    """Buckets (object stores) of its own, which it makes."""
    erases: tuple[str, ...] = ()
    """Streams from which it removes single messages."""
    takes_requests: bool = False
    """Whether it reads what the publishers of tenants ask for."""


_DUTIES: Mapping[str, _Duty] = {
    "ingestion": _Duty(
        publishes=(
            "tocsin.readings.v1.*",
            topology.EMPTIED_SUBJECT,
            "tocsin.alerts.v1.*",
            "tocsin.debts.v1.*",
            "tocsin.debt_files.v1.*",
            topology.health_subject("ingestion"),
            topology.health_subject(topology.EDGE),
            topology.COUNTING_VALUES_SUBJECT,
            topology.INVOICE_CANCELLATION_SUBJECT,
            topology.INVOICE_ERASURE_SUBJECT,
            topology.VIDEO_ATTEMPTS_SUBJECT,
            topology.EVENT_DELIVERIES_SUBJECT,
        ),
        reads=(
            topology.VIDEOS,
            topology.DEBTS,
            topology.DEBT_FILES,
            topology.INVOICES,
            topology.NOTIFICATIONS,
            topology.PAYLOADS,
        ),
    ),
    "aggregation": _Duty(
        publishes=("tocsin.windows.v1.closed.*.*.*", "tocsin.alarms.v1.*", topology.ALARM_NOTICE_SUBJECT),
        # Of HEALTH: whether readings can be taken.
        reads=(topology.READINGS, topology.READINGS_PRIORITY, topology.WINDOWS, topology.ALARMS, topology.HEALTH),
        # Live streams of closing windows, whichever replica closed them.
        hears=("tocsin.windows.v1.closed.>",),
        answers=(topology.COUNTING_VALUES_SUBJECT,),
    ),
    "media_probe": _Duty(
        publishes=("tocsin.videos.v1.*", topology.ALERT_REPORTED_SUBJECT),
        reads=(topology.ALERTS, topology.VIDEOS),
        answers=(topology.VIDEO_ATTEMPTS_SUBJECT,),
    ),
    "notification": _Duty(
        # Dead letters of every service go back to where they came from through its DeadLetterService.
        publishes=("tocsin.*.v1.>",),
        reads=(
            topology.DEBTS,
            topology.DEBT_FILES,
            topology.VIDEOS,
            topology.ALARMS,
            topology.ALARM_NOTICES,
            topology.WINDOWS,
            topology.NOTIFICATIONS,
            topology.DEAD_LETTERS,
        ),
        answers=(
            topology.INVOICE_CANCELLATION_SUBJECT,
            topology.INVOICE_ERASURE_SUBJECT,
            topology.EVENT_DELIVERIES_SUBJECT,
        ),
        keeps=(INVOICES_BUCKET,),
        erases=(topology.DEAD_LETTERS,),
        takes_requests=True,
    ),
}


def bucket_stream(bucket: str, names: MeshNames) -> str:
    """The stream at the server that holds a bucket."""
    return f"OBJ_{names.stream(bucket)}"


def publisher_user(tenant: str) -> str:
    """The login of a tenant's trusted publisher."""
    return f"publisher-{tenant}"


def outside_users(tenants: tuple[str, ...]) -> tuple[str, ...]:
    """The logins that an operator hands on."""
    return (DOWNSTREAM_USER, GATEWAY_USER, *map(publisher_user, tenants))


def publisher_account(tenant: str) -> str:
    """The account of a tenant's trusted publisher, which shares nothing with others: no inbox, no subject."""
    return f"PUBLISHER_{tenant}"


def service_permissions(service: str, names: MeshNames, tenants: tuple[str, ...] = ()) -> Permissions:
    """What a service's user may do."""
    duty = _DUTIES[service]
    reads = [*duty.reads, *(topology.notification_requests_stream(tenant) for tenant in tenants if duty.takes_requests)]
    buckets = [bucket_stream(bucket, names) for bucket in duty.keeps]
    publish = [
        *(names.subject(subject) for subject in duty.publishes),
        *(f"$O.{names.stream(bucket)}.>" for bucket in duty.keeps),
        names.subject(topology.dead_letter_subject(service, "*")),
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.INFO.*",
    ]
    for stream in (*map(names.stream, reads), *buckets):
        publish += [
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}.>",
            f"$JS.API.CONSUMER.*.{stream}",
            f"$JS.API.CONSUMER.*.{stream}.>",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
            f"$JS.ACK.{stream}.>",
            f"$JS.FC.{stream}.>",
        ]
    for stream in buckets:
        publish += [f"$JS.API.STREAM.{verb}.{stream}" for verb in ("CREATE", "UPDATE", "PURGE")]
    publish += [f"$JS.API.STREAM.PURGE.{names.stream(stream)}" for stream in duty.erases]
    hears = (*duty.hears, *duty.answers, topology.HANDLERS_SUBJECT)
    return Permissions(tuple(publish), (*map(names.subject, hears), _INBOX), answers=True)


def mesh_permissions(
    services: tuple[str, ...], names: MeshNames, tenants: tuple[str, ...] = ()
) -> dict[str, Permissions]:
    """User name -> permissions, of the account MESH."""
    return {
        RUNTIME_USER: Permissions(publish=None, subscribe=None),
        CLI_USER: Permissions(
            publish=(names.subject("tocsin.>"), "$JS.API.>", "$JS.ACK.>"),
            subscribe=(names.subject("tocsin.>"), _INBOX),
            publish_denied=tuple(
                f"$JS.API.STREAM.{verb}.>" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE")
            ),
        ),
        **{service: service_permissions(service, names, tenants) for service in services},
    }


def downstream_permissions() -> Permissions:
    """What downstream teams may do: listen. Their account is given the public subjects only, whatever they ask for."""
    return Permissions(publish=None, subscribe=None, publish_denied=(">",))


def system_permissions() -> Permissions:
    """What the runtime may do in the system account: ask. Not reload, not disconnect."""
    return Permissions(publish=("$SYS.REQ.SERVER.PING.*",), subscribe=(_INBOX,))


def gateway_permissions(names: MeshNames) -> Permissions:
    """What gateways may do: publish payloads, and hear whether they are durable. Nothing else reaches their account."""
    return Permissions(publish=(names.subject(topology.payloads_subject("*")),), subscribe=(_INBOX,))


def publisher_permissions(tenant: str, names: MeshNames) -> Permissions:
    """What the trusted publisher of a tenant may do: ask, hear whether that is durable, and hear what becomes of it.
    Nothing else reaches its account."""
    asks = (topology.notification_request_subject(tenant, request) for request in topology.NOTIFICATION_REQUESTS)
    hears = (topology.notification_status_subject(tenant), topology.request_refused_subject(tenant))
    return Permissions(tuple(map(names.subject, asks)), (_INBOX, *map(names.subject, hears)))
