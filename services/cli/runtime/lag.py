"""Streams and consumers as NATS' monitoring tells them: what is stored, what waits."""

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


def read_lag(monitor_url: str) -> list[StreamLag]:
    """Every stream, by name. Raises OSError when the monitoring does not answer."""
    import httpx

    try:
        response = httpx.get(
            f"{monitor_url}/jsz", params={"consumers": "true", "limit": "1024"}, timeout=_TIMEOUT_SECONDS
        )
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise OSError(f"NATS' monitoring at {monitor_url} does not answer: {error}") from error
    return parse_lag(response.json())


def parse_lag(jsz: dict[str, Any]) -> list[StreamLag]:
    """The streams of an answer of /jsz?consumers=true."""
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
