"""What JetStream says of itself, as a table of streams and consumers, with an alert for each that is behind.

Standard input has the answers of `/jsz?accounts=true&streams=true&consumers=true`, one of each server. Servers of a
cluster know the same stream, followers a moment later: the largest figure is the one that is told. Exit code: 1 when
there are alerts.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Consumer:
    """Messages that wait for it, that it works on, and that were delivered again."""

    waiting: int = 0
    unacknowledged: int = 0
    redelivered: int = 0


@dataclass(slots=True)
class Stream:
    """What a stream holds, who reads it, and its replicas that are not current."""

    messages: int = 0
    bytes: int = 0
    consumers: dict[str, Consumer] = field(default_factory=dict[str, Consumer])
    behind: set[str] = field(default_factory=set[str])


def answers(text: str) -> Iterator[dict[str, Any]]:
    """The JSON documents that stand one after the other."""
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        yield document


def streams_of(documents: Iterator[dict[str, Any]]) -> dict[str, Stream]:
    """Every stream of every account, by name."""
    found: dict[str, Stream] = {}
    for document in documents:
        for account in document.get("account_details") or []:
            for detail in account.get("stream_detail") or []:
                _add(found.setdefault(detail["name"], Stream()), detail)
    return found


def _add(stream: Stream, detail: dict[str, Any]) -> None:
    stream.messages = max(stream.messages, detail["state"]["messages"])
    stream.bytes = max(stream.bytes, detail["state"]["bytes"])
    for replica in (detail.get("cluster") or {}).get("replicas") or []:
        if not replica.get("current") or replica.get("offline"):
            stream.behind.add(replica["name"])
    for told in detail.get("consumer_detail") or []:
        consumer = stream.consumers.setdefault(told["name"], Consumer())
        consumer.waiting = max(consumer.waiting, told["num_pending"])
        consumer.unacknowledged = max(consumer.unacknowledged, told["num_ack_pending"])
        consumer.redelivered = max(consumer.redelivered, told["num_redelivered"])


def report(streams: dict[str, Stream], waiting: int) -> tuple[list[str], list[str]]:
    """The lines of the table, and the alerts."""
    form = "{:<44} {:>12} {:>14} {:>9} {:>8} {:>8}".format
    lines = [form("stream, consumers", "messages", "bytes", "waiting", "in work", "retried")]
    alerts: list[str] = []
    for name, stream in sorted(streams.items()):
        lines.append(form(name, f"{stream.messages:,}", f"{stream.bytes:,}", "", "", ""))
        if stream.behind:
            alerts.append(
                f"ALERT streams: {name} has replicas that are not current: {', '.join(sorted(stream.behind))}"
            )
        for reader, consumer in sorted(stream.consumers.items()):
            counts = (consumer.waiting, consumer.unacknowledged, consumer.redelivered)
            lines.append(form(f"  {reader}", "", "", *(f"{count:,}" for count in counts)))
            if consumer.waiting > waiting:
                alerts.append(f"ALERT streams: {consumer.waiting:,} messages of {name} wait for {reader}")
    return lines, alerts


def main() -> int:
    """Reads standard input, prints the table and the alerts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=10_000, help="messages of a consumer that are no alert yet")
    lines, alerts = report(streams_of(answers(sys.stdin.read())), parser.parse_args().waiting)
    print("\n".join([*lines, *alerts]))
    return 1 if alerts else 0


if __name__ == "__main__":
    sys.exit(main())
