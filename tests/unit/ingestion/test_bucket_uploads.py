"""Objects of debt files that are over are removed, and no others."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from services.chassis.bucket_settings import StoredObject
from services.ingestion.application.debts.announced_ports import BucketUploadStore, ObjectBucket
from services.ingestion.application.debts.bucket_uploads import BucketOptions, BucketUploads
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def over(key: str, etag: str) -> AnnouncedUpload:
    return AnnouncedUpload(
        id=f"{key} {etag}",
        by="",
        way=UploadWay.BUCKET,
        said=Announcement(filename=key, size=1),
        state=UploadState.ENDED,
        received=1,
        error="",
        create_time=NOW,
        expire_time=NOW,
        object_key=key,
        object_etag=etag,
        object_modified=NOW,
    )


class Storage:
    """A bucket and a store of uploads that are over: ETags by key; one that ends with `again` was put a day later."""

    def __init__(self, objects: dict[str, str], uploads: list[AnnouncedUpload]) -> None:
        self.etags, self.uploads = objects, uploads

    async def objects(self, prefix: str) -> AsyncGenerator[StoredObject]:
        for key in sorted(key for key in self.etags if key.startswith(prefix)):
            etag = self.etags[key].removesuffix(" again")
            yield StoredObject(key, etag, 1, NOW if etag == self.etags[key] else NOW + timedelta(days=1))

    async def delete(self, key: str) -> None:
        del self.etags[key]

    async def removable(self, kept: timedelta, limit: int) -> list[AnnouncedUpload]:
        assert kept == timedelta(days=1)
        return self.uploads[:limit]

    async def removed(self, uploads: Sequence[str]) -> None:
        self.uploads = [one for one in self.uploads if one.id not in uploads]


@pytest.mark.parametrize(
    ("there", "stays"),
    [
        ({"debts/inbox/daily.csv": "old"}, {}),
        ({"debts/inbox/daily.csv": "new"}, {"debts/inbox/daily.csv": "new"}),
        ({"debts/inbox/daily.csv": "old again"}, {"debts/inbox/daily.csv": "old again"}),
        ({"debts/inbox/daily.csv.gz": "old"}, {"debts/inbox/daily.csv.gz": "old"}),
        ({"debts/inbox/daily.csv": "old", "debts/inbox/daily.csv2": "x"}, {"debts/inbox/daily.csv2": "x"}),
        ({}, {}),
    ],
)
async def test_a_file_that_has_come_under_the_same_name_stays(there: dict[str, str], stays: dict[str, str]) -> None:
    storage = Storage(there, [over("debts/inbox/daily.csv", "old")])
    store, bucket = cast(BucketUploadStore, cast(Any, storage)), cast(ObjectBucket, cast(Any, storage))
    uploads = BucketUploads(store, bucket, lambda: None, BucketOptions())
    assert await uploads.remove() == {"ENDED": 1}
    assert (storage.etags, storage.uploads) == (stays, [])
