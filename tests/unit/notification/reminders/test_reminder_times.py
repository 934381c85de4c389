"""A time that there is not is refused by name."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidArgument
from services.notification.adapters.grpc.reminder_mappers import content
from tocsin.notification.v1.reminder_service_pb2 import Reminder


@pytest.mark.parametrize("field", ["start_time", "end_time"])
def test_it_is_no_defect_of_ours(field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        content(Reminder(cron="0 8 * * *", time_zone="UTC", **{field: Timestamp(seconds=10**15)}))
    assert [one.field for one in caught.value.violations] == [field]
