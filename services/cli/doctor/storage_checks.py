"""The buckets of an object storage that services are told of."""

import re
from functools import partial
from typing import Final

from services.cli.doctor.check import Check, Outcome, failed, ok
from services.cli.doctor.deployment import Deployment
from services.cli.runtime.errors import describe

_BUCKETS: Final = {"TOCSIN_INGESTION_DEBT_BUCKET": "debt files", "TOCSIN_NOTIFICATION_INVOICE_S3_BUCKET": "invoices"}
_ENDPOINT, _REGION = "TOCSIN_S3_ENDPOINT", "TOCSIN_S3_REGION"
_KEY, _SECRET = "TOCSIN_S3_ACCESS_KEY_ID", "TOCSIN_S3_SECRET_ACCESS_KEY"
_CODE: Final = re.compile(r"<Code>([^<]{1,64})</Code>")
_ADVICE: Final = {
    "NoSuchBucket": "make it, or name another one",
    "AccessDenied": "let the login list, read, write and remove the objects of the bucket",
    "InvalidAccessKeyId": f"see {_KEY}",
    "SignatureDoesNotMatch": f"see {_SECRET}",
    "AuthorizationHeaderMalformed": f"see {_REGION}",
    "PermanentRedirect": f"see {_REGION} and {_ENDPOINT}",
    "RequestTimeTooSkewed": "set the clock of this host, or that of the storage",
}


def storage_checks(deployment: Deployment) -> list[Check]:
    """One for each bucket that is named."""
    environment = deployment.settings.passed_on
    return [
        Check(
            name=f"bucket of {what}",
            looks_at=f"{environment.get(_ENDPOINT, '')}/{bucket}: there, and its list may be read",
            look=partial(_bucket, deployment, bucket, variable),
        )
        for variable, what in _BUCKETS.items()
        if (bucket := environment.get(variable, ""))
    ]


async def _bucket(deployment: Deployment, bucket: str, variable: str) -> Outcome:
    environment = deployment.settings.passed_on
    if missing := [name for name in (_ENDPOINT, _KEY, _SECRET) if not environment.get(name)]:
        return failed(f"{', '.join(missing)} not set", "where a bucket is named its storage must be, too")
    # Only when needed: they take a while to load.
    import aiohttp

    from services.chassis.bucket_settings import BucketAddress
    from services.chassis.object_storage import open_bucket

    address = BucketAddress(
        endpoint=environment[_ENDPOINT],
        public_endpoint=environment[_ENDPOINT],
        region=environment.get(_REGION) or "us-east-1",
        bucket=bucket,
        access_key_id=environment[_KEY],
        secret_access_key=environment[_SECRET],
    )
    try:
        async with open_bucket(address, agent="tocsin-doctor") as opened:
            status, text = await opened.first_answer()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return failed(f"the storage cannot be reached: {describe(error)}", f"see {_ENDPOINT}")
    if status == 200 and "<ListBucketResult" in text:
        return ok("lists its objects")
    code = found[1] if (found := _CODE.search(text)) else ""
    said = f"HTTP {status} {code}".rstrip()
    return failed(f"the storage answers {said}", _ADVICE.get(code, f"see {_ENDPOINT} and {variable}"))
