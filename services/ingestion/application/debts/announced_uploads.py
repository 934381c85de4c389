"""Debt files that are announced before their bytes come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from services.chassis.auth import principal
from services.chassis.errors import DomainError
from services.chassis.signed_urls import SignedUrls, TokenExpired, TokenInvalid
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.announced_ports import OpenLimits, UploadStore
from services.ingestion.application.debts.bucket_uploads import BucketUploads
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.uploads import DebtUploads, Upload
from services.ingestion.application.debts.verified_content import check_head, verified
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadWay
from services.ingestion.domain.debts.debt_file import DebtFile
from services.ingestion.domain.debts.errors import TooLarge, TooManyUploads, UploadBroken
from services.ingestion.domain.debts.upload_errors import UploadBucketMissing, UploadExpired, UploadKeyMissing
from services.ingestion.domain.errors import ResourceNotFound

log = get_logger(__name__)

_KIND = "debt upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedOptions:
    """`ttl`, `resumable_ttl` (of those that come in parts), `max_ttl`: how long an upload is open. `max_file`: bytes of
    a file. `public_url`: where people reach the edge."""

    ttl: timedelta = timedelta(hours=1)
    resumable_ttl: timedelta = timedelta(days=1)
    max_ttl: timedelta = timedelta(days=7)
    max_file: int = 2 * 1024**3
    limits: OpenLimits = field(default_factory=OpenLimits)
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """An upload, where its content goes, and the headers that must come with it."""

    upload: AnnouncedUpload
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before the content: the token of a signed URL, and what the client says of the bytes."""

    token: str
    content_type: str
    size: int | None


class AnnouncedUploads:
    """The use cases. Without `urls` there is no key to sign with; without `bucket`, no bucket."""

    def __init__(
        self,
        store: UploadStore,
        uploads: DebtUploads,
        profiles: DebtProfiles,
        urls: SignedUrls | None,
        bucket: BucketUploads | None,
        options: AnnouncedOptions,
    ) -> None:
        self._store, self._uploads, self._profiles = store, uploads, profiles
        self._urls, self._bucket, self._options = urls, bucket, options

    async def create(self, said: Announcement, way: UploadWay | None, life: timedelta) -> Created:
        """The upload, open for so long (0: as usual), and where its content goes; without a way into the bucket, where
        there is one. Raises TooLarge, ConventionsInvalid, ResourceNotFound about the profile, TooManyUploads,
        StorageFull, UploadBucketMissing, and UploadKeyMissing."""
        options = self._options
        if said.size > options.max_file:
            raise TooLarge(f"the file is larger than {options.max_file} bytes", limit=str(options.max_file))
        await self._profiles.dialect(said.profile, said.declared, currency="", due_from=date.min, due_to=date.max)
        way = way or (UploadWay.SIGNED_URL if self._bucket is None else UploadWay.BUCKET)
        target = self._target(way)
        usual = options.resumable_ttl if way is UploadWay.RESUMABLE else options.ttl
        life = min(life or usual, options.max_ttl)
        made = await self._store.create(principal.current().subject, way, said, life, options.limits)
        return target(made)

    def _target(self, way: UploadWay) -> Callable[[AnnouncedUpload], Created]:
        """Says where the content of an upload goes. Raises what is missing for that."""
        base = self._options.public_url.rstrip("/")
        match way:
            case UploadWay.RESUMABLE:
                return lambda made: Created(made, f"{base}/v1/debtUploads/{made.id}")
            case UploadWay.SIGNED_URL:
                signer = self._signer()
                return lambda made: Created(made, signer.mint(UUID(made.id).bytes, made.expire_time, base))
            case UploadWay.BUCKET:
                if (bucket := self._bucket) is None:
                    raise UploadBucketMissing
                return lambda made: Created(made, *bucket.signed(made, made.expire_time - made.create_time))

    async def told(self, keys: Sequence[str]) -> int:
        """Somebody says that these objects of the bucket are new; how many of them were. Raises UploadBucketMissing,
        and Unavailable."""
        if self._bucket is None:
            raise UploadBucketMissing
        return await self._bucket.told(keys)

    async def get(self, upload_id: str) -> AnnouncedUpload:
        """Raises ResourceNotFound, also for one of another caller."""
        found = await self._store.get(upload_id)
        if found.by != principal.current().subject:
            raise ResourceNotFound(_KIND, upload_id)
        return found

    async def cancel(self, upload_id: str) -> None:
        """Raises ResourceNotFound, also for one of another caller, and UploadEnded."""
        found = await self.get(upload_id)
        await self._store.cancel(found.id, f"cancelled by {found.by}")

    async def put(self, head: Head, pieces: AsyncIterator[bytes]) -> DebtFile:
        """Takes the content that belongs to a signed URL, as `DebtUploads.upload` does, and raises like it. Raises
        ResourceNotFound for a token that is none of ours, UploadExpired, UploadEnded, and UploadMismatch: the file is
        FAILED, unless it was known before the first byte."""
        upload_id = self._named(head.token)
        check_head((await self._store.get(upload_id)).said, head.content_type, head.size)
        taken = await self._store.take(upload_id)
        try:
            async with aclosing(verified(taken.said, pieces)) as content:
                return await self._uploads.upload(upload_of(taken.said, taken.id), content)
        except (TooManyUploads, UploadBroken):
            await self._store.give_back(taken.id)
            raise
        except DomainError as error:
            await self._store.fail(taken.id, error.message)
            raise

    async def sweep(self, every: timedelta = timedelta(seconds=30)) -> None:
        """Lets uploads expire, for ever."""
        while True:
            try:
                if expired := await self._store.sweep():
                    log.info("announced debt files expired", uploads=expired)
            except DomainError as error:
                log.warning("announced debt files not looked after", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    def _named(self, token: str) -> str:
        try:
            return str(UUID(bytes=self._signer().read(token, datetime.now(UTC))))
        except TokenExpired:
            raise UploadExpired("") from None
        except (TokenInvalid, ValueError):
            raise ResourceNotFound(_KIND, "of this token") from None

    def _signer(self) -> SignedUrls:
        if self._urls is None:
            raise UploadKeyMissing
        return self._urls


def upload_of(said: Announcement, file_id: str = "") -> Upload:
    return Upload(said.filename, said.dry_run, said.reject_limit, said.profile, said.declared, file_id)
