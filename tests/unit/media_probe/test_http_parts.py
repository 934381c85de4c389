"""Known spans of a file, and the heads of answers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media_probe.adapters.http.byte_ranges import ByteRanges
from services.media_probe.adapters.http.range_response import Beyond, Part, read_head, retry_after, strong_tag
from services.media_probe.domain.failure import Failure, ProbeFailed

FILE = bytes(range(256)) * 2


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 120)), max_size=30), st.integers(0, 520), st.integers(1, 600)
)
def test_spans_know_what_was_added_and_nothing_else(added: list[tuple[int, int]], offset: int, length: int) -> None:
    spans, known = ByteRanges(), set[int]()
    for start, size in added:
        data = FILE[start : start + size]
        spans.add(start, data)
        known.update(range(start, start + len(data)))
    run = next((n for n in range(len(FILE)) if offset + n not in known), len(FILE))
    assert spans.run(offset) == run
    assert spans.get(offset, length) == FILE[offset : offset + min(run, length)]


@pytest.mark.parametrize(
    ("status", "headers", "asked", "answer"),
    [
        (206, {"Content-Range": "bytes 0-99/1000"}, 0, Part(0, 100, 1000)),
        (206, {"Content-Range": "bytes 0-99/*"}, 50, Part(0, 100, None)),
        (206, {"Content-Range": "BYTES 5-5/6"}, 5, Part(5, 6, 6)),
        (200, {"Content-Length": "77"}, 5, Part(0, None, 77)),
        (200, {"Content-Length": "77", "Content-Encoding": "gzip"}, 0, Part(0, None, None)),
        (200, {"Content-Length": "-1"}, 0, Part(0, None, None)),
        (416, {"Content-Range": "bytes */42"}, 50, Beyond(42)),
        (416, {}, 50, Beyond(None)),
    ],
)
def test_heads(status: int, headers: dict[str, str], asked: int, answer: Part | Beyond) -> None:
    assert read_head(status, headers, asked=asked) == answer


@pytest.mark.parametrize(
    ("status", "headers", "failure", "transient"),
    [
        (404, {}, Failure.NOT_FOUND, False),
        (410, {}, Failure.NOT_FOUND, False),
        (400, {}, Failure.UNREACHABLE, False),
        (401, {}, Failure.UNREACHABLE, False),
        (403, {}, Failure.UNREACHABLE, False),
        (204, {}, Failure.UNREACHABLE, False),
        (408, {}, Failure.UNREACHABLE, True),
        (429, {"Retry-After": "7"}, Failure.UNREACHABLE, True),
        (500, {}, Failure.UNREACHABLE, True),
        (503, {}, Failure.UNREACHABLE, True),
        (206, {}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "bytes */10"}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "bytes 20-29/100"}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "bytes 0-4/100"}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "bytes 0-99/50"}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "bytes 9-0/50"}, Failure.UNREACHABLE, False),
        (206, {"Content-Range": "lines 0-99/500"}, Failure.UNREACHABLE, False),
    ],
)
def test_refusals(status: int, headers: dict[str, str], failure: Failure, transient: bool) -> None:
    with pytest.raises(ProbeFailed) as caught:
        read_head(status, headers, asked=10)
    assert (caught.value.failure, caught.value.transient) == (failure, transient)
    assert caught.value.retry_after == (timedelta(seconds=7) if "Retry-After" in headers else None)


def test_retry_after() -> None:
    now = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    assert retry_after("120", now) == timedelta(minutes=2)
    assert retry_after("Sun, 22 Nov 2026 08:00:30 GMT", now) == timedelta(seconds=30)
    assert retry_after("Sun, 22 Nov 2026 07:00:00 GMT", now) == timedelta(0)
    assert retry_after("9" * 30, now) == timedelta(hours=1)
    for text in (None, "", "soon", "-5", "1.5"):
        assert retry_after(text, now) is None


@given(st.text(max_size=60))
def test_no_header_breaks_the_reader(text: str) -> None:
    retry_after(text, datetime(2026, 11, 22, tzinfo=UTC))
    strong_tag({"ETag": text})
    with pytest.raises(ProbeFailed, match="UNREACHABLE"):
        read_head(206, {"Content-Range": f"{text} bytes"}, asked=0)


def test_only_strong_tags_vouch_for_bytes() -> None:
    assert strong_tag({"ETag": '"abc"'}) == '"abc"'
    for tag in ("", '"', 'W/"abc"', "abc"):
        assert strong_tag({"ETag": tag}) == ""
