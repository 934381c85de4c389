"""Which objects an event of a bucket names."""

import json

import pytest

from services.ingestion.adapters.bucket_events import keys_of
from services.ingestion.domain.errors import InvalidField

# As MinIO sends it to a webhook, without what is of no use here.
MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "files/debts/inbox/d\u00edvidas 1.csv",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventTime": "2026-11-30T12:00:00.000Z",
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "files", "arn": "arn:aws:s3:::files"},
                "object": {"key": "debts%2Finbox%2Fd%C3%ADvidas+1.csv", "size": 10, "eTag": "900150983cd24fb0"},
            },
        }
    ],
}


def test_keys_are_told_as_they_are() -> None:
    assert keys_of(json.dumps(MINIO).encode()) == ["debts/inbox/d\u00edvidas 1.csv"]


@pytest.mark.parametrize("event", [b"{}", b'{"Records": null}', b'{"Event": "s3:TestEvent"}'])
def test_an_event_may_name_none(event: bytes) -> None:
    assert keys_of(event) == []


@pytest.mark.parametrize(
    "event", [b"", b"[]", b"\xff", b'{"Records": [1]}', b'{"Records": [{"s3": {}}]}', b'{"Records": 1}']
)
def test_what_is_no_event_is_refused(event: bytes) -> None:
    with pytest.raises(InvalidField):
        keys_of(event)
