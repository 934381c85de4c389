"""What headers of codecs say about pictures, against real encoders and against noise."""

import io
from fractions import Fraction
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media_probe.domain.h263 import flv_picture, stsd_picture
from services.media_probe.domain.h264 import Picture, picture_of
from tests.support.videos import make_video


@pytest.mark.parametrize("container", ["mpegts", "flv"])
@pytest.mark.parametrize(
    ("size", "aspect"),
    [((720, 576), (16, 11)), ((1920, 1080), (1, 1)), ((318, 242), (37, 41)), ((640, 360), None), ((16, 16), None)],
)
def test_what_an_encoder_writes_is_read(container: str, size: tuple[int, int], aspect: tuple[int, int] | None) -> None:
    """Both ways of writing parameter sets; sizes that need cropping; aspects of the table and others."""
    made = make_video(container, "libx264", size=size, sample_aspect=aspect, frames=1)
    with av.open(io.BytesIO(made)) as file:
        context: Any = file.streams.video[0].codec_context
        extradata: bytes = context.extradata
    assert (extradata[0] == 1) == (container == "flv")
    assert picture_of(extradata) == Picture(*size, Fraction(*aspect) if aspect else None)


@given(st.binary(max_size=80), st.sampled_from([b"", b"\0\0\1\x67", b"\1\x64\0\x1f\xff\xe1\0\x40\x67"]))
def test_noise_is_no_error(noise: bytes, before: bytes) -> None:
    told = picture_of(before + noise)
    assert told is None or (told.width > 0 and told.height > 0)
    assert min(flv_picture(b"FLV\1\1\0\0\0\x09\0\0\0\0" + noise)) >= 0
    assert min(stsd_picture(b"s263" + noise)) >= 0


@pytest.mark.parametrize("size", [(320, 240), (352, 288), (100, 80), (600, 400)])
def test_sorenson_pictures(size: tuple[int, int]) -> None:
    assert flv_picture(make_video("flv", "flv", size=size, frames=1)) == size
