"""Who may do what on NATS, as rules; the integration tests try them on a server."""

import pytest

from services.chassis.mesh_names import MeshNames
from services.chassis.nats.topology import DEAD_LETTERS
from services.cli.runtime.nats_accounts import (
    INVOICES_BUCKET,
    bucket_stream,
    downstream_permissions,
    gateway_permissions,
    publisher_permissions,
    service_permissions,
)
from services.cli.runtime.settings import SERVICES


@pytest.mark.parametrize("names", [MeshNames(), MeshNames("stage")])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_shapes_no_streams_and_dead_letters_in_its_own_name(service: str, names: MeshNames) -> None:
    publish = service_permissions(service, names).publish or ()
    shaping = [subject for subject in publish if subject.startswith("$JS.API.STREAM.")]
    shaped = {s.split(".")[4] for s in shaping if s.split(".")[3] in ("CREATE", "UPDATE", "DELETE", "PURGE")}
    # The bucket of the invoices is notification's own, and it clears the dead letters that it has kept.
    own = {bucket_stream(INVOICES_BUCKET, names), names.stream(DEAD_LETTERS)}
    assert shaped == (own if service == "notification" else set())
    letters = names.subject("tocsin.dead_letters.v1.")
    assert [s for s in publish if s.startswith(letters)] == [f"{letters}{service}.*"]


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_but_questions_reaches_beyond_the_prefix(service: str) -> None:
    rights = service_permissions(service, MeshNames("stage"))
    for subject in (*(rights.publish or ()), *(rights.subscribe or ())):
        of_the_mesh = subject.startswith("stage.tocsin.") or "STAGE_" in subject
        asks = subject in {"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*"}
        assert of_the_mesh or asks or subject == "_INBOX.>", subject


def test_every_subject_has_one_publisher() -> None:
    owners: dict[str, str] = {}
    for service in SERVICES:
        for subject in service_permissions(service, MeshNames()).publish or ():
            if subject.startswith("tocsin."):
                assert subject not in owners, f"{subject} belongs to {owners.get(subject)} and {service}"
                owners[subject] = service


def test_downstream_only_listens() -> None:
    # What there is to hear is decided by the subjects that its account imports: see the integration tests.
    permissions = downstream_permissions()
    assert permissions.publish_denied == (">",)
    assert permissions.subscribe is None


def test_a_gateway_publishes_payloads_and_hears_replies() -> None:
    permissions = gateway_permissions(MeshNames("stage"))
    assert permissions.publish == ("stage.tocsin.payloads.v1.*",)
    assert permissions.subscribe == ("_INBOX.>",)


def test_a_publisher_asks_for_its_tenant_and_hears_of_it() -> None:
    permissions = publisher_permissions("wellness", MeshNames("stage"))
    asks = "stage.tocsin.notification_requests.v1.wellness"
    assert permissions.publish == (f"{asks}.send", f"{asks}.send_bulk", f"{asks}.receipt")
    told = "stage.tocsin.notifications.v1"
    assert permissions.subscribe == ("_INBOX.>", f"{told}.status_changed.wellness", f"{told}.refused.wellness")


def test_notification_alone_reads_requests() -> None:
    streams: dict[str, list[str]] = {}
    for service in SERVICES:
        subjects = service_permissions(service, MeshNames(), ("test",)).publish or ()
        streams[service] = [one for one in subjects if "REQUESTS" in one]
    assert [service for service in SERVICES if streams[service]] == ["notification"]
    assert all(".NOTIFICATION_REQUESTS_test" in one for one in streams["notification"])
