"""What a sequence parameter set of H.264 says about pictures (ITU-T H.264, 7.3.2.1.1 and E.1.1).

Containers tell the size, too, and not always the same: some write the size before cropping, and most do not tell the
shape of a pixel. A decoder goes by this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_SPS: Final = 7
_HIGH_PROFILES: Final = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_ASPECTS: Final = (
    (0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11), (15, 11),
    (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
"""Width to height of a pixel, by aspect_ratio_idc (table E-1)."""
_EXTENDED_ASPECT: Final = 255


@dataclass(frozen=True, slots=True)
class Picture:
    """Size after cropping; `sample_aspect` None where it is not told."""

    width: int
    height: int
    sample_aspect: Fraction | None


class _Bits:
    """Reads bits of a payload without the bytes that keep start codes out of it. Raises ValueError at the end."""

    def __init__(self, payload: bytes) -> None:
        data = payload.replace(b"\0\0\3", b"\0\0")
        self._left = len(data) * 8
        self._value = int.from_bytes(data, "big")

    def fixed(self, count: int) -> int:
        """u(n)."""
        if count > self._left:
            raise ValueError("the parameter set ends early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """ue(v)."""
        zeros = 0
        while not self.fixed(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("a number is too large")
        return (1 << zeros) - 1 + self.fixed(zeros)

    def signed(self) -> int:
        """se(v)."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)


def picture_of(extradata: bytes) -> Picture | None:
    """The picture that the parameter sets of a track describe, whether they are written as in MP4 (`avcC`) or behind
    start codes. None where there is no set that makes sense."""
    for unit in _units(extradata):
        if unit and unit[0] & 0x1F == _SPS:
            try:
                return _read(_Bits(unit[1:]))
            except ValueError:
                return None
    return None


def _units(extradata: bytes) -> Iterator[bytes]:
    if extradata[:1] == b"\1":  # avcC: five bytes of header, the number of sets, and each with its length before it
        at = 6
        for _ in range(extradata[5] & 0x1F if len(extradata) > 5 else 0):
            size = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + size]
            at += 2 + size
        return
    for part in extradata.split(b"\0\0\1")[1:]:
        yield part.rstrip(b"\0")


def _read(bits: _Bits) -> Picture:
    profile = bits.fixed(8)
    bits.fixed(16)  # constraints, level
    bits.unsigned()  # id
    chroma = 1
    separate = False
    if profile in _HIGH_PROFILES:
        chroma = bits.unsigned()
        if chroma == 3:
            separate = bool(bits.fixed(1))
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.fixed(1)
        if bits.fixed(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.fixed(1):
                    _pass_scaling_list(bits, 16 if number < 6 else 64)
    bits.unsigned()  # log2_max_frame_num
    _pass_order(bits)
    bits.unsigned()  # max_num_ref_frames
    bits.fixed(1)
    across, down = bits.unsigned() + 1, bits.unsigned() + 1
    frames_only = bits.fixed(1)
    if not frames_only:
        bits.fixed(1)
    bits.fixed(1)
    left = right = top = bottom = 0
    if bits.fixed(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
    fields = 2 - frames_only
    planes = 0 if separate else chroma
    step_x, step_y = (2 if planes in {1, 2} else 1), (2 if planes == 1 else 1) * fields
    width = across * 16 - step_x * (left + right)
    height = down * 16 * fields - step_y * (top + bottom)
    if width <= 0 or height <= 0:
        raise ValueError("nothing is left by cropping")
    return Picture(width, height, _aspect(bits) if bits.fixed(1) else None)


def _pass_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _pass_order(bits: _Bits) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()


def _aspect(bits: _Bits) -> Fraction | None:
    if not bits.fixed(1):
        return None
    number = bits.fixed(8)
    if number == _EXTENDED_ASPECT:
        width, height = bits.fixed(16), bits.fixed(16)
    elif number < len(_ASPECTS):
        width, height = _ASPECTS[number]
    else:
        return None
    return Fraction(width, height) if width and height else None
