"""Streams and consumers as NATS tells them: what is stored, what waits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.chassis.mesh_names import MeshNames
from services.chassis.tenants import REQUESTS_OF
from services.cli.runtime.settings import STREAMS

if TYPE_CHECKING:
    from nats.aio.client import Client

_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerLag:
    """`pending` messages have not been delivered, `unacknowledged` ones are being worked on."""

    name: str
    pending: int
    unacknowledged: int
    redelivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLag:
    """One stream: how many messages and bytes it holds, and who reads it."""

    name: str
    messages: int
    bytes: int
    consumers: tuple[ConsumerLag, ...]


async def read_lag(nats_url: str, system_password: str) -> list[StreamLag]:
    """Every stream of the embedded server, by name. Raises NatsSilent when it does not answer."""
    from services.cli.runtime.nats_monitor import nats_monitor

    async with nats_monitor(nats_url, system_password) as monitor:
        return parse_lag(await monitor.streams(consumers=True, within=_TIMEOUT_SECONDS))


async def read_lag_by_client(client: "Client", names: MeshNames) -> list[StreamLag]:
    """The mesh's streams, by name: on a server without a system account of ours, where others may have theirs, too.
    Raises nats.errors.Error."""
    from services.cli.runtime.nats_accounts import INVOICES_BUCKET, bucket_stream

    own = {*map(names.stream, STREAMS), bucket_stream(INVOICES_BUCKET, names)}
    stream = client.jetstream(timeout=_TIMEOUT_SECONDS)
    found: list[StreamLag] = []
    for info in await stream.streams_info():
        name = info.config.name or ""
        if name not in own and not name.startswith(names.stream(REQUESTS_OF)):
            continue
        consumers = [
            ConsumerLag(
                name=consumer.name,
                pending=consumer.num_pending or 0,
                unacknowledged=consumer.num_ack_pending or 0,
                redelivered=consumer.num_redelivered or 0,
            )
            for consumer in await stream.consumers_info(name)
        ]
        consumers.sort(key=lambda consumer: consumer.name)
        found.append(
            StreamLag(name=name, messages=info.state.messages, bytes=info.state.bytes, consumers=tuple(consumers))
        )
    return sorted(found, key=lambda each: each.name)


def parse_lag(jsz: dict[str, Any]) -> list[StreamLag]:
    """The streams of what JetStream tells of itself."""
    streams = [stream for account in jsz.get("account_details") or [] for stream in account.get("stream_detail") or []]
    return sorted((_stream(stream) for stream in streams), key=lambda stream: stream.name)


def _stream(detail: dict[str, Any]) -> StreamLag:
    consumers = [
        ConsumerLag(
            name=consumer["name"],
            pending=consumer["num_pending"],
            unacknowledged=consumer["num_ack_pending"],
            redelivered=consumer["num_redelivered"],
        )
        for consumer in detail.get("consumer_detail") or []
    ]
    return StreamLag(
        name=detail["name"],
        messages=detail["state"]["messages"],
        bytes=detail["state"]["bytes"],
        consumers=tuple(sorted(consumers, key=lambda consumer: consumer.name)),
    )
