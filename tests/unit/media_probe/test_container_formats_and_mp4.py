"""What a file is by its first bytes, and where an MP4 file keeps its index."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media_probe.domain.container_formats import MIN_BYTES, Container, sniff
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.mp4 import find_header
from services.media_probe.domain.plain_headers import plain_header
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
        (PNG, Failure.UNSUPPORTED),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", Failure.UNSUPPORTED),
        (b"RIFF\x20\0\0\0WEBPVP8 \x14\0\0\0" + bytes(20), Failure.UNSUPPORTED),
        (b"II*\0" + bytes(20), Failure.UNSUPPORTED),
        (b"#!AMR\n" + bytes(20), Failure.UNSUPPORTED),
        (b"FWS\x06" + bytes(20), Failure.UNSUPPORTED),
        (b"ZWS\x0d" + bytes(20), Failure.UNSUPPORTED),
        # A temporal delimiter, then a sequence header.
        (b"\x12\x00\x0a\x0b\x00\x00\x00\x24" + bytes(20), Failure.UNSUPPORTED),
        (b"#EXTM3U\nhttp://169.254.169.254/\n", Failure.NOT_MEDIA),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", Failure.NOT_MEDIA),
        (b"<html>not found</html>", Failure.NOT_MEDIA),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", Failure.UNSUPPORTED),
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


def track(handler: bytes, samples: int, *, first: bytes = b"") -> bytes:
    tables = box(b"stsd", b"entry" * 8) + box(b"stts", b"times") + first + box(b"stsz", b"size" * samples)
    media = box(b"mdhd", b"time") + box(b"hdlr", bytes(8) + handler + b"name")
    return box(b"trak", box(b"tkhd", b"matrix") + box(b"mdia", media + box(b"minf", box(b"stbl", tables))))


def test_a_large_index_is_read_without_its_tables_and_only_to_its_first_picture() -> None:
    tables = 100_000
    sound, picture = track(b"soun", tables), track(b"vide", tables)
    moov = box(b"moov", box(b"mvhd", b"duration") + sound + picture + track(b"vide", 1, first=box(b"tref", b"other")))
    header, asked = walk(FTYP + moov)
    assert header.startswith(FTYP)
    assert int.from_bytes(header[len(FTYP) : len(FTYP) + 4], "big") == len(header) - len(FTYP)
    for wanted in (b"mvhd", b"tkhd", b"mdhd", b"vide", b"stsd", b"stts"):
        assert header.count(wanted) == 1, wanted
    for unwanted in (b"soun", b"stsz", b"tref"):
        assert unwanted not in header
    assert sum(length for _, length in asked) < 1000
    assert max(offset for offset, _ in asked) < len(FTYP + box(b"mvhd", b"duration") + sound) + 500


def test_a_large_index_is_judged_as_a_small_one() -> None:
    for content, failure in (
        (track(b"soun", 10_000), Failure.UNSUPPORTED),
        (track(b"vide", 10_000)[:60] + bytes(20_000), None),
        (box(b"cmov", bytes(20_000)), None),
        (box(b"free", b"") * 3000, Failure.BUDGET_EXCEEDED),
        (track(b"vide", 0, first=bytes(8)) + b"\xff" * 20_000, None),
    ):
        moov = box(b"moov", content)
        if failure is None:
            assert b"moov" in walk(FTYP + moov)[0]
            continue
        with pytest.raises(ProbeFailed) as caught:
            walk(FTYP + moov)
        assert caught.value.failure is failure
    with pytest.raises(ProbeFailed) as caught:
        walk(FTYP + box(b"moov", track(b"vide", 10_000))[:90])
    assert caught.value.failure is Failure.TRUNCATED


def test_webm_is_told_from_matroska() -> None:
    assert sniff(corpus()["a.webm"][:64]) is Container.WEBM


def test_recordings_that_were_cut_anywhere_begin_where_they_begin() -> None:
    for name, container in (("a.ts", Container.MPEG_TS), ("a.mpg", Container.MPEG_PS)):
        for junk in (b"\0\0\0\0", bytes(range(77)), b"G" + bytes(300)):
            assert sniff((junk + corpus()[name])[:16_384]) is container, (name, len(junk))


@pytest.mark.parametrize("kind", [b"styp", b"sidx", b"emsg", b"moof", b"prft"])
def test_pieces_of_a_fragmented_file_are_mp4(kind: bytes) -> None:
    assert sniff(box(kind, b"\0" * 24)) is Container.MP4
    assert walk(box(kind, b"\0" * 24) + MOOV)[0] == MOOV


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\x80\0\0" + bytes(20)


def png(*chunks: bytes) -> bytes:
    header = b"\0\0\0\x0dIHDR" + (640).to_bytes(4, "big") + (360).to_bytes(4, "big") + b"\x08\6\0\0\0\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def jpeg() -> bytes:
    frame = b"\xff\xc0\0\x11\x08" + (360).to_bytes(2, "big") + (640).to_bytes(2, "big") + b"\3" + bytes(9)
    return b"\xff\xd8\xff\xe0\0\x06JFIF" + b"\xff\xff\xdb\0\4\0\0" + frame + b"\xff\xda\0\2data\xff\xd9"


_ANIMATION = b"\0\0\0\x08acTL" + bytes(12)
_WEBP = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + (639).to_bytes(3, "little") + (359).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (gif(640, 360), "gif"),
        (png(_ANIMATION, b"\0\0\0\0IDAT"), "apng"),
        (_WEBP + bytes(20), "webp"),
        (jpeg() * 2, "mjpeg"),
        (b"DKIF\0\0\x20\0VP90" + b"\x80\2\x68\1" + b"\x19\0\0\0\1\0\0\0\x32\0\0\0" + bytes(8), "vp9"),
    ],
)
def test_some_formats_tell_the_size_at_a_fixed_place(head: bytes, codec: str) -> None:
    seen = plain_header(sniff(head), head)
    assert seen is not None
    assert (seen.width, seen.height, seen.codec) == (640, 360, codec)
    if codec == "vp9":
        assert (seen.frame_rate, seen.duration) == (25.0, timedelta(seconds=2))
    with suppress(ProbeFailed):
        plain_header(sniff(head[:MIN_BYTES]), head[:MIN_BYTES])


def test_an_image_is_told_from_an_animation() -> None:
    for head in (png(b"\0\0\0\0IDAT", _ANIMATION), jpeg()):
        with pytest.raises(ProbeFailed, match="is an image"):
            sniff(head)
