"""The picture of all streams says who may write to them and read them."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from services.chassis.mesh_names import MeshNames
from services.chassis.nats.topology import (
    DEAD_LETTERS,
    INVOICES,
    NOTIFICATIONS,
    PUBLIC_SUBJECTS,
    TopologyOptions,
    stream_specs,
)
from services.chassis.tenants import REQUESTS_OF
from services.cli.runtime.nats_accounts import service_permissions

SERVICES = ("ingestion", "aggregation", "media_probe", "notification")
STREAMS = stream_specs(TopologyOptions(tenants=("acme",)))
_READ = re.compile(r"\$JS\.API\.CONSUMER\.MSG\.NEXT\.(\w+)\.\*")


def _shown(stream: str) -> str:
    return "REQUESTS" if stream.startswith(REQUESTS_OF) else stream


def _overlap(one: str, other: str) -> bool:
    """Whether a subject can match both patterns, whose wildcards are at the same places or more general."""
    patterns = [re.sub(r">$", "*", pattern) for pattern in (one, other)]
    return fnmatchcase(*patterns) or fnmatchcase(*reversed(patterns))


def _streams_of(subjects: list[str]) -> set[str]:
    return {
        _shown(spec.name)
        for spec in STREAMS
        if any(_overlap(subject, of_stream) for subject in subjects for of_stream in spec.subjects)
    }


def _drawn(repository: Path) -> set[tuple[str, str]]:
    text = (repository / "docs/message-flows.md").read_text()
    picture = text.split("```mermaid")[1].split("```")[0]
    return set(re.findall(r"^  (\w+)(?:\(\[.*?\]\))? --> (\w+)", picture, re.MULTILINE))


def test_services_write_and_read_what_is_drawn(repository: Path) -> None:
    rights: set[tuple[str, str]] = set()
    for service in SERVICES:
        publish = service_permissions(service, MeshNames(""), ("acme",)).publish or ()
        subjects = [subject for subject in publish if subject.startswith("tocsin.")]
        # Notification may send anything back; what is its own is said in the text.
        written = {INVOICES, NOTIFICATIONS, DEAD_LETTERS} if service == "notification" else _streams_of(subjects)
        rights |= {(service, stream) for stream in written}
        read = {found[1] for subject in publish if (found := _READ.fullmatch(subject))}
        # A bucket of files is a stream, too, and not one of the topology.
        rights |= {(_shown(stream), service) for stream in read if not stream.startswith("OBJ_")}
    drawn = _drawn(repository)
    assert {arrow for arrow in drawn if set(arrow) & set(SERVICES)} == rights


def test_downstream_teams_read_what_is_public_and_no_stream_is_missing(repository: Path) -> None:
    drawn = _drawn(repository)
    assert {stream for stream, reader in drawn if reader == "downstream"} == _streams_of(list(PUBLIC_SUBJECTS))
    assert {_shown(spec.name) for spec in STREAMS} <= {name for arrow in drawn for name in arrow}
