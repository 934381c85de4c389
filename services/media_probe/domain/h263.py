"""Sizes of H.263, of which libav says that a decoder will find out: in 3GP, and in FLV without metadata."""

from typing import Final

_FLV_SIDES: Final = {2: (352, 288), 3: (176, 144), 4: (128, 96), 5: (320, 240), 6: (160, 120)}
"""By PictureSize of Sorenson's H.263 (Video File Format Specification 10, annex E.4.3)."""
_VIDEO_TAG: Final = 9
_SORENSON: Final = 2


def stsd_picture(header: bytes) -> tuple[int, int]:
    """Width and height of an MP4 header's sample entry of H.263 (ISO/IEC 14496-12, 12.1.3); zeros without one."""
    for kind in (b"s263", b"H263", b"h263"):
        at = header.find(kind)
        if at >= 0 and at + 32 <= len(header):
            return int.from_bytes(header[at + 28 : at + 30], "big"), int.from_bytes(header[at + 30 : at + 32], "big")
    return 0, 0


def flv_picture(head: bytes) -> tuple[int, int]:
    """Width and height of the first picture of Sorenson's H.263 in an FLV file that begins like this; zeros where there
    is none."""
    at = int.from_bytes(head[5:9], "big") + 4
    while at + 12 <= len(head):
        size = int.from_bytes(head[at + 1 : at + 4], "big")
        if head[at] & 0x1F == _VIDEO_TAG:
            return _sorenson(head[at + 12 : at + 24]) if head[at + 11] & 0x0F == _SORENSON else (0, 0)
        at += 11 + size + 4
    return 0, 0


def _sorenson(picture: bytes) -> tuple[int, int]:
    """A start code of 17 bits, a version of 5, a time of 8, and PictureSize of 3; sides follow where it is 0 or 1."""
    bits = int.from_bytes(picture[:10].ljust(10, b"\0"), "big")
    kind = bits >> (80 - 33) & 7
    if kind == 0:
        return bits >> (80 - 41) & 0xFF, bits >> (80 - 49) & 0xFF
    if kind == 1:
        return bits >> (80 - 49) & 0xFFFF, bits >> (80 - 65) & 0xFFFF
    return _FLV_SIDES.get(kind, (0, 0))
