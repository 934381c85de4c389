"""Times in messages: absent, real, and none that there is."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidArgument
from services.chassis.grpc.timestamps import time_of, timestamp
from tocsin.notification.v1.notification_service_pb2 import ListNotificationsRequest


def test_a_time_that_there_is_not_is_named() -> None:
    request = ListNotificationsRequest()
    assert time_of(request, "from") is None
    at = datetime(2026, 11, 30, 17, tzinfo=UTC)
    getattr(request, "from").CopyFrom(timestamp(at) or Timestamp())
    assert time_of(request, "from") == at
    assert timestamp(None) is None
    getattr(request, "from").seconds = 10**15
    with pytest.raises(InvalidArgument) as caught:
        time_of(request, "from")
    assert [one.field for one in caught.value.violations] == ["from"]
