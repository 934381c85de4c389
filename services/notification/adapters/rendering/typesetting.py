"""Lines of text: letters to glyphs with their places, in fonts that have them, in the order in which they are read."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from bidi.algorithm import get_display

from services.notification.adapters.rendering.fonts import Coverage, Face, Weight, face

_COVERAGE = Coverage()
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_JOINERS = frozenset("\u200c\u200d")
_APART, _MARK = "\u200c", "\u034f"
_VARIANTS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_BREAKS = re.compile("[ \t\n\v\f\r\x85\u2028\u2029]+")
"""Where a line may be broken; not at a blank that holds together what is beside it."""
Placed = tuple[int, str, float, float, float, float]
"""A glyph: its number, the letters it stands for, where it is, how far it is up, its own width, in thousandths."""


_MOST_MARKS: Final = 4
"""Marks on one letter. No language piles up more, and what does runs over the lines above."""


class TooManyMarks(Exception):
    """A letter carries a pile of marks."""

    def __init__(self, cluster: str) -> None:
        super().__init__(f"the letter {cluster[0]} carries {_marks(cluster)} marks; {_MOST_MARKS} at most are drawn")


class NoLetter(Exception):
    """No font has the letter."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        names = ", ".join(f"U+{ord(one):04X} {unicodedata.name(one, 'without a name')}" for one in letters)
        super().__init__(f"no font has {names}")


@dataclass(frozen=True, slots=True)
class Run:
    """Glyphs of one font, from left to right."""

    face: Face
    glyphs: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; `width` in thousandths of the size."""

    runs: tuple[Run, ...]
    width: float


@lru_cache(maxsize=4096)
def line(text: str, weight: Weight = Weight.REGULAR) -> Line:
    """The text on one line. Raises NoLetter."""
    runs: list[Run] = []
    at = 0.0
    for stretch, right_to_left in _directions(readable(text)):
        parts = list(_fonts(stretch, weight))
        for font, part in reversed(parts) if right_to_left else parts:
            glyphs: list[Placed] = []
            shaped = font.shaped(part, right_to_left=right_to_left)
            meant = _meant([cluster for _, cluster, *_ in shaped], part)
            for (glyph, _, advance, right, up), letters in zip(shaped, meant, strict=True):
                glyphs.append((glyph, letters, at + right, up, font.width(glyph), advance))
                at += advance
            runs.append(Run(font, tuple(glyphs)))
    return Line(tuple(runs), at)


def wrapped(text: str, width: float, weight: Weight = Weight.REGULAR) -> list[Line]:
    """The text on lines of at most `width` thousandths of the size: broken between words, and within those that are too
    long. Raises NoLetter."""
    lines: list[str] = []
    for word in readable(text).split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and line(joined, weight).width <= width:
            lines[-1] = joined
        else:
            lines += _pieces(word, width, weight)
    return [line(one, weight) for one in lines]


def readable(text: str) -> str:
    """As it is drawn: composed, on one line, without what is invisible. Where a variant of a letter is selected, the
    letter itself is drawn."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip(" ")
    composed = unicodedata.normalize("NFC", _BREAKS.sub(" ", text).strip(" "))
    seen = _VARIANTS.sub("", composed)
    return "".join(one for one in seen if one in _JOINERS or unicodedata.category(one) not in ("Cc", "Cf"))


def without_pictures(text: str) -> str:
    """Without signs that are no letters (emoji, say) and that no font has, as long as a letter or digit remains."""
    if text.isascii():
        return text
    kept = [one for one in clusters(readable(text)) if _font(one) is not None or not _is_sign(one)]
    rest = " ".join("".join(kept).split())
    return rest if any(one.isalnum() for one in rest) else text


def _is_sign(cluster: str) -> bool:
    return unicodedata.category(cluster[0]) in ("So", "Sk")


def clusters(text: str) -> list[str]:
    """What is read as one letter: with its marks, and what is joined to it."""
    found: list[str] = []
    for one in text:
        mark = unicodedata.category(one) in ("Mn", "Mc", "Me") or one in _JOINERS
        if found and (mark or found[-1][-1] == "\u200d"):
            found[-1] += one
        else:
            found.append(one)
    return found


def _pieces(word: str, width: float, weight: Weight) -> list[str]:
    if line(word, weight).width <= width:
        return [word]
    pieces = [""]
    for cluster in clusters(word):
        if pieces[-1] and line(pieces[-1] + cluster, weight).width > width:
            pieces.append("")
        pieces[-1] += cluster
    return pieces


def _directions(text: str) -> Iterator[tuple[str, bool]]:
    """Pieces in the order in which they are seen from the left, and whether one reads from the right; each with its
    letters in the order in which they are spoken."""
    if text.isascii() or not any(unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for one in text):
        if text:
            yield text, False
        return
    # Brackets are turned around then. What keeps letters from joining would be lost, unless it passes for a mark.
    seen = str(get_display(text.replace(_APART, _MARK))).replace(_MARK, _APART)
    right = [_reads_from_right(seen, place) for place in range(len(seen))]
    for right_to_left, places in groupby(range(len(seen)), key=right.__getitem__):
        letters = "".join(seen[place] for place in places)
        yield (letters[::-1], True) if right_to_left else (letters, False)


def _reads_from_right(seen: str, place: int) -> bool:
    """Letters of a script that is written from the right, their marks, and blanks between them."""
    kind = unicodedata.bidirectional(seen[place])
    if kind in ("NSM", "WS", "BN"):
        # Marks stand before their letter here, in the order of the eye.
        after = next((unicodedata.bidirectional(one) for one in seen[place:] if _strong(one)), "L")
        before = next((unicodedata.bidirectional(one) for one in reversed(seen[:place]) if _strong(one)), "L")
        return after in _RIGHT_TO_LEFT and (kind == "NSM" or before in _RIGHT_TO_LEFT)
    return kind in _RIGHT_TO_LEFT


def _strong(letter: str) -> bool:
    return unicodedata.bidirectional(letter) not in ("NSM", "WS", "BN")


def _fonts(text: str, weight: Weight) -> Iterator[tuple[Face, str]]:
    """The text in pieces of one font and one script each."""
    if text.isascii():
        yield face(0, weight), text
        return
    chosen: list[tuple[int, str, str]] = []
    for cluster in clusters(text):
        font, script = _font(cluster), _script(cluster)
        if font is None:
            raise NoLetter(cluster)
        if len(cluster) > _MOST_MARKS and _marks(cluster) > _MOST_MARKS:
            raise TooManyMarks(cluster)
        if cluster == " " and chosen:
            font, script = chosen[-1][:2]
        if chosen and chosen[-1][:2] == (font, script):
            chosen[-1] = (font, script, chosen[-1][2] + cluster)
        else:
            chosen.append((font, script, cluster))
    for font, _, piece in chosen:
        yield face(font, weight), piece


def _marks(cluster: str) -> int:
    """Marks of the last letter of what is joined."""
    count = 0
    for one in cluster:
        count = count + 1 if unicodedata.category(one) in ("Mn", "Me") else 0 if one not in _JOINERS else count
    return count


@lru_cache(maxsize=4096)
def _font(cluster: str) -> int | None:
    return _COVERAGE.font_for("".join(one for one in cluster if one not in _JOINERS))


@lru_cache(maxsize=4096)
def _script(cluster: str) -> str:
    """Latin, Greek, Cyrillic and signs are shaped alike; others by themselves."""
    if not cluster[0].isalpha():
        return ""
    name = unicodedata.name(cluster[0], "").split(" ")[0]
    return "" if name in ("LATIN", "GREEK", "CYRILLIC") else name


def _meant(starts: list[int], part: str) -> list[str]:
    """The letters that each glyph stands for, by the places at which their clusters begin; a further glyph of a cluster
    stands for none."""
    if starts == list(range(len(part))):
        return list(part)
    known = sorted(set(starts))
    letters = {begin: part[begin:end] for begin, end in zip(known, [*known[1:], len(part)], strict=True)}
    return [letters.pop(start, "") for start in starts]
