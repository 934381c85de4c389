"""What callers read of broken rules."""

import pytest

from services.chassis.grpc.validation import violations
from tocsin.ingestion.v1 import catalogue_pb2, catalogue_service_pb2, debt_file_service_pb2, debt_upload_service_pb2
from tocsin.notification.v1 import endpoint_service_pb2, notification_service_pb2


def test_enums_are_told_by_name() -> None:
    request = endpoint_service_pb2.RegisterEndpointRequest(tenant="t", user="u", channel=1, address="a")
    [channel] = [found for found in violations(request) if found.field == "channel"]
    assert (channel.reason, channel.description) == ("ENUM_IN", "must be one of EMAIL, WEBHOOK, FCM")


def test_enums_that_must_be_given() -> None:
    sensor_type = catalogue_pb2.SensorType(id="x", unit="K")
    [kind] = violations(catalogue_service_pb2.CreateSensorTypeRequest(sensor_type=sensor_type))
    assert (kind.field, kind.reason) == ("sensorType.kind", "ENUM_NOT_IN")
    assert kind.description == "must be one of GAUGE, COUNTER, LEVEL"


def test_numbers_that_no_enum_has() -> None:
    sensor_type = catalogue_pb2.SensorType(id="x", unit="K", kind=99)
    [kind] = violations(catalogue_service_pb2.CreateSensorTypeRequest(sensor_type=sensor_type))
    assert (kind.reason, kind.description) == ("ENUM_DEFINED_ONLY", "must be one of GAUGE, COUNTER, LEVEL")


@pytest.mark.parametrize(
    "title",
    [
        "a\u0085b",
        "a\u2028b",
        "a\u2029b",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "a\x9bb",
        "a\u202eb",
        "a\u2066b",
        " ",
        "\u200b",
        "\u00a0\u3000",
        "\ufeff",
    ],
)
def test_a_title_is_one_line_with_something_to_see(title: str) -> None:
    request = notification_service_pb2.SendNotificationRequest(tenant="t", user="u", type=1, title=title)
    [broken] = violations(request)
    assert (broken.field, broken.description) == (
        "title",
        "must be one line, without control characters, and not blank",
    )


def test_forms_are_told_in_words_not_as_patterns() -> None:
    asked = debt_file_service_pb2.ListDebtsRequest(due_from="31.01.2027", due_to="2027-01-31")
    [day] = violations(asked)
    assert (day.field, day.description) == ("dueFrom", "must be empty or a day like 2027-01-31")
    announced = debt_upload_service_pb2.CreateDebtUploadRequest(
        filename="a.csv", size=1, sha256="A1" * 31, content_type="text"
    )
    assert [(found.field, found.description) for found in violations(announced)] == [
        ("sha256", "must be empty or a SHA-256 of 64 hexadecimal digits"),
        ("contentType", "must be empty or a media type without parameters, like text/csv"),
    ]
    metadata = debt_file_service_pb2.UploadDebtFileRequest.Metadata(id="01a22e8f-c32d-4772-93d8-1b5af2e598ec")
    [id_] = violations(debt_file_service_pb2.UploadDebtFileRequest(metadata=metadata))
    assert id_.description == "must be empty or a UUID of version 7, in small letters"
    metadata.language = "deutsch!"
    metadata.id = ""
    [language] = violations(debt_file_service_pb2.UploadDebtFileRequest(metadata=metadata))
    assert language.description == "must be empty or a language like de, en or pt-BR"
    metadata.language = "de"
    metadata.id = "01a22e8f-c32d-7772-93d8-1b5af2e598ec"
    assert violations(debt_file_service_pb2.UploadDebtFileRequest(metadata=metadata)) == []


@pytest.mark.parametrize("title", ["a", "a b", "\u00e4", "\u05d0\u200f", "\U0001f525", "\u0627\u0644", "x" * 200, "0"])
def test_titles_of_all_scripts_are_titles(title: str) -> None:
    request = notification_service_pb2.SendNotificationRequest(tenant="t", user="u", type=1, title=title)
    assert violations(request) == []
