"""What callers read of broken rules."""

from services.chassis.grpc.validation import violations
from tocsin.ingestion.v1 import catalogue_pb2, catalogue_service_pb2
from tocsin.notification.v1 import endpoint_service_pb2


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
