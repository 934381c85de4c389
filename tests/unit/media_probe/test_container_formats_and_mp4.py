"""What a file is by its first bytes, and where an MP4 file keeps its index."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media_probe.domain.container_formats import Container, sniff
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.mp4 import find_header
from tests.support.videos import PNG, corpus, noise


def test_real_files_are_told_apart() -> None:
    expected = {"mp4": "mp4", "mov": "mp4", "mkv": "matroska", "ts": "mpegts", "mpg": "mpeg"}
    for name, data in corpus().items():
        ending = name.rpartition(".")[2]
        assert sniff(data[:1024]).value == expected.get(ending, ending), name


@pytest.mark.parametrize(
    ("head", "failure"),
    [
        (b"", Failure.NOT_MEDIA),
        (b"\0" * 11, Failure.NOT_MEDIA),
        (noise(4096), Failure.NOT_MEDIA),
        (PNG, Failure.NOT_MEDIA),
        (b"#EXTM3U\nhttp://169.254.169.254/\n", Failure.NOT_MEDIA),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", Failure.NOT_MEDIA),
        (b"<html>not found</html>", Failure.NOT_MEDIA),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", Failure.NOT_MEDIA),
        (b"RIFF\0\0\0\0WAVEfmt ", Failure.UNSUPPORTED),
        (b"OggS" + b"\0" * 100, Failure.UNSUPPORTED),
        (b"ID3\x04" + b"\0" * 100, Failure.UNSUPPORTED),
    ],
)
def test_what_is_no_video(head: bytes, failure: Failure) -> None:
    with pytest.raises(ProbeFailed) as caught:
        sniff(head)
    assert caught.value.failure is failure


def walk(data: bytes, max_index: int = 1 << 20) -> tuple[bytes, list[tuple[int, int]]]:
    """The header, and the ranges that were asked for."""
    steps = find_header(max_index)
    asked: list[tuple[int, int]] = []
    want = next(steps)
    while True:
        asked.append((want.offset, want.length))
        try:
            want = steps.send(data[want.offset : want.offset + want.length])
        except StopIteration as found:
            header: bytes = found.value
            return header, asked


def box(kind: bytes, body: bytes, *, wide: bool = False, to_end: bool = False) -> bytes:
    if wide:
        return b"\0\0\0\x01" + kind + (len(body) + 16).to_bytes(8, "big") + body
    return (0 if to_end else len(body) + 8).to_bytes(4, "big") + kind + body


FTYP, MOOV = box(b"ftyp", b"isom"), box(b"moov", b"index")


@given(
    before=st.lists(st.sampled_from([b"free", b"wide", b"mdat", b"uuid"]), max_size=5),
    sizes=st.lists(st.integers(0, 5000), min_size=5, max_size=5),
    wide=st.booleans(),
    rest=st.binary(max_size=50),
)
def test_the_index_is_found_wherever_it_stands(before: list[bytes], sizes: list[int], wide: bool, rest: bytes) -> None:
    boxes = b"".join(box(kind, b"x" * size, wide=wide) for kind, size in zip(before, sizes, strict=False))
    header, asked = walk(FTYP + boxes + MOOV + rest)
    assert header == FTYP + MOOV
    assert sum(length for _, length in asked) <= 16 * (len(before) + 2) + len(FTYP) + len(MOOV)


@given(st.binary(max_size=400))
def test_nonsense_ends_in_a_typed_failure(data: bytes) -> None:
    with suppress(ProbeFailed):  # and nothing else
        header, _ = walk(data)
        assert header in data or header.startswith(data[:4])


def test_truncation_is_told_from_the_budget() -> None:
    for data, failure in (
        (FTYP + box(b"mdat", b"x" * 100), Failure.TRUNCATED),
        (FTYP + box(b"mdat", b"x" * 100, to_end=True), Failure.TRUNCATED),
        (FTYP + MOOV[:-2], Failure.TRUNCATED),
        (FTYP + b"\0\0\0\x04free", Failure.NOT_MEDIA),
        (FTYP + b"\0\0\0\x01free" + b"\xff" * 8, Failure.NOT_MEDIA),
        (FTYP + box(b"moov", b"x" * 2000), Failure.BUDGET_EXCEEDED),
        (box(b"free", b"") * 100 + MOOV, Failure.BUDGET_EXCEEDED),
    ):
        with pytest.raises(ProbeFailed) as caught:
            walk(data, max_index=1000)
        assert caught.value.failure is failure


def test_an_index_that_reaches_to_the_end_is_taken() -> None:
    assert walk(FTYP + box(b"moov", b"index", to_end=True))[0].endswith(b"moovindex")


def test_webm_is_told_from_matroska() -> None:
    assert sniff(corpus()["a.webm"][:64]) is Container.WEBM
