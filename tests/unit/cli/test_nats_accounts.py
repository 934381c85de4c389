"""Who may do what on NATS, as rules; the integration tests try them on a server."""

import pytest

from services.cli.runtime.nats_accounts import (
    INVOICES_BUCKET,
    downstream_permissions,
    gateway_permissions,
    service_permissions,
)
from services.cli.runtime.settings import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_shapes_no_streams_and_dead_letters_in_its_own_name(service: str) -> None:
    publish = service_permissions(service).publish or ()
    shaping = [subject for subject in publish if subject.startswith("$JS.API.STREAM.")]
    shaped = {s.split(".")[4] for s in shaping if s.split(".")[3] in ("CREATE", "UPDATE", "DELETE", "PURGE")}
    # The bucket of the invoices is notification's own.
    assert shaped == ({f"OBJ_{INVOICES_BUCKET}"} if service == "notification" else set())
    assert [s for s in publish if s.startswith("tocsin.dead_letters")] == [f"tocsin.dead_letters.v1.{service}.*"]


def test_every_subject_has_one_publisher() -> None:
    owners: dict[str, str] = {}
    for service in SERVICES:
        for subject in service_permissions(service).publish or ():
            if subject.startswith("tocsin."):
                assert subject not in owners, f"{subject} belongs to {owners.get(subject)} and {service}"
                owners[subject] = service


def test_downstream_only_listens() -> None:
    # What there is to hear is decided by the subjects that its account imports: see the integration tests.
    permissions = downstream_permissions()
    assert permissions.publish_denied == (">",)
    assert permissions.subscribe is None


def test_a_gateway_publishes_payloads_and_hears_replies() -> None:
    permissions = gateway_permissions()
    assert permissions.publish == ("tocsin.payloads.v1.*",)
    assert permissions.subscribe == ("_INBOX.>",)
