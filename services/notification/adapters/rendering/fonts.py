"""The fonts of invoices: Noto, from packages. Which of them has a letter, how it is shaped, and the part of a font that
a document needs.

Imported in the renderer's process only. HarfBuzz shapes and takes fonts apart; a font is looked at when it is first
needed.
"""

import enum
import importlib.resources
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any, Final

import uharfbuzz

hb: Any = uharfbuzz  # it has no types

_PACKAGES: Final = (
    ("fontpkg_noto_sans", "files/NotoSans[wdth,wght].ttf"),
    ("fontpkg_noto_sans_arabic", "files/NotoSansArabic[wdth,wght].ttf"),
    ("pylopdf_fonts_he", "NotoSansHebrew-Variable.ttf"),
    ("fontpkg_noto_sans_thai", "files/NotoSansThai[wdth,wght].ttf"),
    ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"),
    ("pylopdf_fonts_ko", "NotoSansKR-Regular.otf"),
)
"""In the order in which they are asked for a letter."""
_UNUSED_TABLES: Final = (
    "GSUB GPOS GDEF name OS/2 cmap STAT post gasp BASE VORG vhea vmtx MATH DSIG kern HVAR MVAR avar fvar"
)
_SUBSET: Final = (
    hb.SubsetFlags.NO_HINTING
    | hb.SubsetFlags.NO_LAYOUT_CLOSURE
    | hb.SubsetFlags.NO_BIDI_CLOSURE
    # A glyph keeps its number: what is written once for all invoices is right in each.
    | hb.SubsetFlags.RETAIN_GIDS
    | hb.SubsetFlags.CFF_IDENTITY_CHARSET
)


class Weight(enum.IntEnum):
    """How heavy the letters are."""

    REGULAR = 400
    BOLD = 700


class Face:
    """A font in one weight. Those of East Asia have one weight only."""

    def __init__(self, number: int, weight: Weight) -> None:
        self.key = f"F{number}" + ("B" if weight is Weight.BOLD else "")
        self._face = _pinned(hb.Face(_blob(number)), weight)
        self.font = hb.Font(self._face)
        self.cff = "CFF " in self._face.table_tags
        self._scale = 1000 / self._face.upem
        self._widths: dict[int, float] = {}
        extents = self.font.get_font_extents("ltr")
        self.ascent, self.descent = round(extents.ascender * self._scale), round(extents.descender * self._scale)
        name = self._face.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME)
        self.name = (name or f"Font{number}").replace(" ", "")

    def width(self, glyph: int) -> float:
        """Of a glyph, in thousandths of the size."""
        if (width := self._widths.get(glyph)) is None:
            width = self._widths[glyph] = self.font.get_glyph_h_advance(glyph) * self._scale
        return width

    def shaped(self, text: str, *, right_to_left: bool) -> list[tuple[int, int, float, float, float]]:
        """The glyphs from left to right: glyph, place of its letter in the text, advance, and offset to the right and
        up, in thousandths of the size."""
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.direction = "rtl" if right_to_left else "ltr"
        buffer.guess_segment_properties()
        hb.shape(self.font, buffer)
        scale = self._scale
        return [
            (info.codepoint, info.cluster, at.x_advance * scale, at.x_offset * scale, at.y_offset * scale)
            for info, at in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
        ]

    def part(self, glyphs: Iterable[int]) -> bytes:
        """The font with these glyphs alone, under their numbers."""
        wanted = hb.SubsetInput()
        wanted.flags = _SUBSET
        kept = wanted.sets(hb.SubsetInputSets.GLYPH_INDEX)
        for glyph in glyphs:
            kept.add(glyph)
        dropped = wanted.sets(hb.SubsetInputSets.DROP_TABLE_TAG)
        for tag in _UNUSED_TABLES.split():
            dropped.add(int.from_bytes(tag.ljust(4).encode(), "big"))
        return wanted.subset(self._face).blob.data


class Coverage:
    """Which font has which letters, without looking at more of it."""

    @cached_property
    def _letters(self) -> list[frozenset[int]]:
        return [frozenset(hb.Face(_blob(number)).unicodes) for number in range(len(_PACKAGES))]

    def font_for(self, letters: str) -> int | None:
        """The first font that has all of them."""
        wanted = {ord(letter) for letter in letters}
        return next((number for number, known in enumerate(self._letters) if wanted <= known), None)


@cache
def face(number: int, weight: Weight) -> Face:
    """The font in the weight."""
    return Face(number, weight)


def _blob(number: int) -> Any:
    package, file = _PACKAGES[number]
    return hb.Blob(importlib.resources.files(package).joinpath(file).read_bytes())


def _pinned(variable: Any, weight: Weight) -> Any:
    """A font of many weights and widths in one of each."""
    axes = {axis.tag: axis.default_value for axis in variable.axis_infos}
    if not axes:
        return variable
    wanted = hb.SubsetInput()
    wanted.keep_everything()
    wanted.flags |= hb.SubsetFlags.NO_HINTING
    for axis, default in axes.items():
        wanted.pin_axis_location(variable, axis, float(weight) if axis == "wght" else default)
    return wanted.subset(variable)
