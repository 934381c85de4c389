"""Buckets of an S3-compatible object storage as settings and use cases know them, apart from the client that is slow
to load."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field, SecretStr

from services.chassis.origins import Origin
from services.chassis.settings import ChassisSettings, Refused, require


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAddress:
    """A bucket, and the login at its storage."""

    endpoint: str
    public_endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"BucketAddress({self.endpoint}/{self.bucket})"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the bucket. The ETag changes with the content."""

    key: str
    etag: str
    size: int
    modified: datetime


class ObjectStorageSettings(ChassisSettings):
    """What services read that keep something in a bucket; each names its bucket itself."""

    s3_endpoint: str = Field("", validation_alias="TOCSIN_S3_ENDPOINT")
    """An S3-compatible object storage, like https://s3.eu-central-1.amazonaws.com or http://minio:9000; buckets are the
    first segment of the path."""
    s3_public_endpoint: str = Field("", validation_alias="TOCSIN_S3_PUBLIC_ENDPOINT")
    """Where clients reach it, if elsewhere: signed URLs of it begin with that."""
    s3_region: str = Field("us-east-1", validation_alias="TOCSIN_S3_REGION")
    """The region of its buckets."""
    s3_access_key_id: str = Field("", validation_alias="TOCSIN_S3_ACCESS_KEY_ID")
    """The login at it."""
    s3_secret_access_key: SecretStr = Field(SecretStr(""), validation_alias="TOCSIN_S3_SECRET_ACCESS_KEY")
    """The login at it."""

    def object_storage(self, bucket: str) -> BucketAddress | None:
        """Where a bucket is; None when there is none of that name (empty). Raises Refused."""
        if not bucket:
            return None
        for name in ("s3_endpoint", "s3_access_key_id"):
            require(bool(getattr(self, name)), self.env(name), "must be set where a bucket is named")
        secret = self.s3_secret_access_key.get_secret_value()
        require(bool(secret), self.env("s3_secret_access_key"), "must be set where a bucket is named")
        for name in ("s3_endpoint", "s3_public_endpoint"):
            if text := getattr(self, name):
                try:
                    Origin.of(text)
                except ValueError as error:
                    raise Refused(self.env(name), str(error)) from None
        return BucketAddress(
            endpoint=self.s3_endpoint,
            public_endpoint=self.s3_public_endpoint or self.s3_endpoint,
            region=self.s3_region,
            bucket=bucket,
            access_key_id=self.s3_access_key_id,
            secret_access_key=secret,
        )
