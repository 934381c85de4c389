"""Streams and consumers as NATS tells them: what is stored, what waits."""

from dataclasses import dataclass
from typing import Any

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
