"""A bucket, over good lines and bad ones."""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from services.chassis import object_storage
from services.chassis.bucket_settings import BucketAddress, StoredObject
from services.chassis.errors import Unavailable
from services.chassis.object_storage import open_bucket
from tests.support.s3 import bad_line

CONTENT = bytes(range(256)) * 4096  # a MiB


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "_PAUSES", (0.01, 0.01, 0.01))


async def found(address: BucketAddress, key: str) -> StoredObject:
    async with open_bucket(address, agent="tests") as bucket:
        [one] = [one async for one in bucket.objects(key)]
        return one


def put_as_it_is(address: BucketAddress, key: str) -> None:
    """An object whose content is its key, from a client that leaves keys as they are."""
    url = f"{address.endpoint}/{address.bucket}/{quote(key)}"
    headers = {"content-type": "text/csv"}
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=key.encode(), headers=headers)):
        pass


async def test_what_was_put_is_there_until_it_is_deleted(s3_bucket: BucketAddress) -> None:
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        assert await bucket.get("a/1") is None
        await bucket.put("a/1", CONTENT)
        await bucket.put("a/1", b"later")
        fetched = await bucket.get("a/1")
        assert fetched is not None
        assert fetched.content == b"later"
        await bucket.put("b/1", b"other")
        assert [(one.key, one.size) async for one in bucket.objects("a/")] == [("a/1", 5)]
        for _ in range(2):
            await bucket.delete("a/1")
        assert await bucket.get("a/1") is None
        assert [one.key async for one in bucket.objects("")] == ["b/1"]


async def test_a_list_goes_over_pages(s3_bucket: BucketAddress) -> None:
    names = [f"k/{number:04}" for number in range(1001)]
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        for start in range(0, len(names), 50):
            await asyncio.gather(*(bucket.put(name, b"") for name in names[start : start + 50]))
        assert [one.key async for one in bucket.objects("k/")] == names


async def test_a_key_that_leads_elsewhere_is_none(s3_bucket: BucketAddress) -> None:
    odd = ["in/100%.csv", "in/%2e%2e/z", "in/1 + 2.csv", "in/<x>&.csv", "in/a//b", "in/a?b#c.csv", "in/\u00e9.csv"]
    for key in (*odd, "in/../victim", "in/./b", "in/..", "in/\x01.csv"):
        await asyncio.to_thread(put_as_it_is, s3_bucket, key)
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        await bucket.put("victim", b"here")
        with capture_logs() as logs:
            for _ in range(2):
                listed = [one async for one in bucket.objects("in/")]
        assert sorted(one.key for one in listed) == sorted(odd)
        for one in listed:
            assert b"".join([piece async for piece in bucket.read(one)]) == one.key.encode()
        assert len([line for line in logs if "left out" in line["event"]]) == 4
        for key in ("in/../victim", "in/..", "in/\n"):
            with pytest.raises(Unavailable):
                await bucket.delete(key)
        assert await bucket.get("victim") is not None


async def test_a_signed_put_needs_no_login(s3_bucket: BucketAddress) -> None:
    headers = {"content-type": "text/csv", "content-length": "3"}
    async with open_bucket(s3_bucket, agent="tests") as bucket, httpx.AsyncClient() as client:
        url = bucket.signed_put("in/x", headers, timedelta(minutes=1))
        assert "content-length" in url
        assert (await client.put(url, content=b"a,b", headers=headers)).status_code == 200
        fetched = await bucket.get("in/x")
        assert fetched is not None
        assert fetched.content == b"a,b"


@pytest.mark.parametrize("faults", [[("refuse", 0)], [("cut", 20)], [("refuse", 0), ("cut", 100_000), ("refuse", 0)]])
async def test_what_breaks_off_is_tried_again(s3_bucket: BucketAddress, faults: list[tuple[str, float]]) -> None:
    async with bad_line(s3_bucket) as (line, address), open_bucket(address, agent="tests") as bucket:
        line.faults = list(faults)
        await bucket.put("x", CONTENT)
        line.faults = list(faults)
        fetched = await bucket.get("x")
        assert fetched is not None
        assert fetched.content == CONTENT


async def test_a_long_content_goes_on_where_it_broke_off(s3_bucket: BucketAddress) -> None:
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        await bucket.put("x", CONTENT)
    one = await found(s3_bucket, "x")
    async with bad_line(s3_bucket) as (line, address), open_bucket(address, agent="tests") as bucket:
        line.faults = [("cut", 300_000), ("refuse", 0), ("cut", 300_000)]
        assert b"".join([piece async for piece in bucket.read(one)]) == CONTENT
        assert not line.faults


async def test_another_content_is_not_what_was_found(s3_bucket: BucketAddress) -> None:
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        await bucket.put("x", CONTENT)
        one = await found(s3_bucket, "x")
        await bucket.put("x", CONTENT[::-1])
        with pytest.raises(Unavailable):
            [piece async for piece in bucket.read(one)]
        await bucket.delete("x")
        with pytest.raises(Unavailable):
            [piece async for piece in bucket.read(one)]


async def test_a_storage_that_is_away_is_unavailable(s3_bucket: BucketAddress) -> None:
    async with bad_line(s3_bucket) as (line, address), open_bucket(address, agent="tests") as bucket:
        line.faults = [("refuse", 0)] * 100
        for call in (bucket.put("x", b""), bucket.get("x"), bucket.delete("x")):
            with pytest.raises(Unavailable):
                await call
        assert line.connections >= 12


async def test_the_log_says_what_is_wrong_with_a_bucket(s3_bucket: BucketAddress) -> None:
    elsewhere = replace(s3_bucket, bucket="nobodys")
    async with open_bucket(elsewhere, agent="tests") as bucket:
        with capture_logs() as logs, pytest.raises(Unavailable):
            [one async for one in bucket.objects("")]
    told = [(line["bucket"], line["error"]) for line in logs if line["event"] == "object storage fails"]
    assert told == [(f"{s3_bucket.endpoint}/nobodys", "HTTP 404: NoSuchBucket")]


async def answered(text: bytes, head: bytes) -> AsyncGenerator[BucketAddress]:
    """A storage that gives everybody this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (head, len(text), text))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield BucketAddress(
            endpoint=url, public_endpoint=url, region="r", bucket="b", access_key_id="a", secret_access_key="s"
        )


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"200 OK", b"<html>log in here"),
        (b"200 OK", b"<ListBucketResult><Contents><Key>x</Key>"),
        (b"301 Moved Permanently", b"<Error><Code>PermanentRedirect</Code></Error>"),
        (b"403 Forbidden", b"<Error><Code>SignatureDoesNotMatch</Code></Error>"),
        (b"503 Service Unavailable", b"<Error><Code>SlowDown</Code></Error>"),
    ],
)
async def test_an_answer_that_is_none_is_unavailable(head: bytes, text: bytes) -> None:
    async with aclosing(answered(text, head)) as servers:
        address = await anext(servers)
        async with open_bucket(address, agent="tests") as bucket:
            with pytest.raises(Unavailable):
                [one async for one in bucket.objects("")]
            with pytest.raises(Unavailable):
                await bucket.get("x")
            if not head.startswith(b"200"):
                with pytest.raises(Unavailable):
                    await bucket.put("x", b"")
