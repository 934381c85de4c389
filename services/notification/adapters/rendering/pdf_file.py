"""Writes PDF files of one page: text in embedded fonts (as it is read, too: it can be searched and copied), lines, bars
and one picture. PDF 1.7, ISO 32000-1; 9.7 tells of fonts as they stand here."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import accumulate, islice

from services.notification.adapters.rendering.fonts import Face
from services.notification.adapters.rendering.typesetting import Line
from services.notification.domain.invoice import Pdf

Glyphs = dict[str, tuple[Face, dict[int, str]]]
"""By font: the glyphs, and the letters that each stands for."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the file holds it: RGB, and how much of it is to be seen, each a byte for a point, compressed."""

    width: int
    height: int
    colours: bytes
    opacity: bytes


@dataclass(slots=True)
class Drawing:
    """What stands on the page, and the glyphs that it needs. Points, from below and from the left."""

    operations: list[bytes] = field(default_factory=list[bytes])
    glyphs: Glyphs = field(default_factory=dict[str, tuple[Face, dict[int, str]]])

    def need(self, line: Line) -> None:
        """The letters are there, whether they are drawn or not."""
        for run in line.runs:
            known = self.glyphs.setdefault(run.face.key, (run.face, {}))[1]
            for glyph, letters, *_ in run.glyphs:
                known[glyph] = known.get(glyph) or letters

    def text(self, line: Line, x: float, y: float, size: float, gray: float = 0.0) -> None:
        """A line of text that begins at a place."""
        for run in line.runs:
            known = self.glyphs.setdefault(run.face.key, (run.face, {}))[1]
            shown, pen, up = ["<"], 0.0, 0.0
            begin = run.glyphs[0][2]
            for glyph, letters, at, rise, width, _ in run.glyphs:
                if not known.get(glyph):
                    known[glyph] = letters
                if rise != up:
                    up = rise
                    shown.append(f">] TJ {up * size / 1000:.2f} Ts [<")
                if abs(gap := pen - (at - begin)) > 0.01:
                    shown.append(f">{gap:.1f}<")
                shown.append("%04X" % glyph)  # noqa: UP031 - half the time of an f-string
                pen = at - begin + width
            rest = " 0 Ts" if up else ""
            self.operations.append(
                f"BT {gray:g} g /{run.face.key} {size:g} Tf 1 0 0 1 {x + begin * size / 1000:.2f} {y:.2f} Tm "
                f"[{''.join(shown)}>] TJ{rest} ET".encode()
            )

    def rule(self, x: float, y: float, width: float, gray: float = 0.7) -> None:
        """A line across."""
        self.operations.append(b"%g G 0.6 w %.2f %.2f m %.2f %.2f l S" % (gray, x, y, x + width, y))

    def boxes(self, boxes: list[tuple[float, float, float, float]]) -> None:
        """Black rectangles: x, y, width, height."""
        self.operations.append(b"0 g " + b" ".join(b"%.3f %.3f %.3f %.3f re" % box for box in boxes) + b" f")

    def picture(self, x: float, y: float, width: float, height: float) -> None:
        """The picture of the file."""
        self.operations.append(b"q %.2f 0 0 %.2f %.2f %.2f cm /Logo Do Q" % (width, height, x, y))


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the file says of itself. The same of all this makes the same bytes."""

    title: str
    author: str
    language: str
    made: date | None


class Form:
    """A page that many files have in common: what is drawn on it and the fonts are made once, and each file begins with
    them."""

    def __init__(self, drawing: Drawing, size: tuple[float, float], picture: Picture | None = None) -> None:
        self._drawing = drawing
        self._size = size
        self._picture = picture
        self._usual = self._head(drawing.glyphs)

    def pdf(self, own: Drawing, about: About) -> Pdf:
        """The file of the page with a drawing of its own over it. A beginning with letters for this drawing alone is
        not shared: they would tell of it."""
        usual = self.has(own)
        head = self._usual if usual else self._head(self._with(own))
        writer = head.writer()
        content = writer.packed(zlib.compress(b"\n".join(own.operations), 1), b"")
        pages = writer.reserve()
        page = writer.add(
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %g %g] /Contents [%d 0 R %d 0 R] /Resources << %b >> >>"
            % (pages, *self._size, head.content, content, head.resources)
        )
        writer.put(pages, b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page)
        language = about.language.encode("ascii", "ignore")
        root = writer.add(b"<< /Type /Catalog /Pages %d 0 R /Lang (%b) >>" % (pages, language))
        made = "" if about.made is None else f"D:{about.made:%Y%m%d}000000Z"
        info = writer.add(
            b"<< /Title %b /Author %b /Producer (Tocsin)%b >>"
            % (_text(about.title), _text(about.author), b" /CreationDate (%b)" % made.encode() if made else b"")
        )
        rest = writer.rest(root, info)
        return Pdf(head.written, rest) if usual else Pdf(b"", head.written + rest)

    def has(self, own: Drawing) -> bool:
        """Whether the form has all letters that the drawing needs."""
        for key, (_, known) in own.glyphs.items():
            there = self._drawing.glyphs.get(key)
            if there is None or any(letters and there[1].get(glyph) != letters for glyph, letters in known.items()):
                return False
            if any(glyph not in there[1] for glyph in known):
                return False
        return True

    def _with(self, own: Drawing) -> Glyphs:
        glyphs = {key: (face, dict(known)) for key, (face, known) in self._drawing.glyphs.items()}
        for key, (face, known) in own.glyphs.items():
            glyphs.setdefault(key, (face, {}))[1].update(known)
        return glyphs

    def _head(self, glyphs: Glyphs) -> "_Head":
        writer = _Writer()
        fonts = [b"/%b %d 0 R" % (key.encode(), _font(writer, face, known)) for key, (face, known) in glyphs.items()]
        resources = b"/Font << %b >>" % b" ".join(fonts)
        if self._picture is not None:
            resources += b" /XObject << /Logo %d 0 R >>" % _picture(writer, self._picture)
        content = writer.packed(zlib.compress(b"\n".join(self._drawing.operations), 9), b"")
        written = writer.written()
        return _Head(resources, content, written, tuple(writer.offsets), _digest(written))


@dataclass(frozen=True, slots=True)
class _Head:
    """The beginning of a file: its bytes, and where its objects are; how a page names its resources, and which object
    is what the form has drawn."""

    resources: bytes
    content: int
    written: bytes
    offsets: tuple[int, ...]
    digest: bytes

    def writer(self) -> "_Writer":
        """Goes on behind it."""
        return _Writer(self.written, self.offsets, self.digest)


def _font(writer: "_Writer", face: Face, known: Mapping[int, str]) -> int:
    embedded = _embedded(face, tuple(sorted(known.items())))
    file = writer.packed(*embedded.file)
    descriptor = writer.add(embedded.descriptor % file)
    descendant = writer.add(embedded.descendant % descriptor)
    meant = writer.packed(*embedded.meaning)
    return writer.add(
        b"<< /Type /Font /Subtype /Type0 /BaseFont /%b /Encoding /Identity-H /DescendantFonts [%d 0 R] "
        b"/ToUnicode %d 0 R >>" % (embedded.name, descendant, meant)
    )


@dataclass(frozen=True, slots=True)
class _Embedded:
    """The objects of a part of a font; `%d` stands for the number of the one before."""

    name: bytes
    file: tuple[bytes, bytes]
    descriptor: bytes
    descendant: bytes
    meaning: tuple[bytes, bytes]


@lru_cache(maxsize=256)
def _embedded(face: Face, known: tuple[tuple[int, str], ...]) -> _Embedded:
    """Most invoices need the same letters: then the part is taken out of the font once."""
    glyphs = [glyph for glyph, _ in known]
    kind, subtype = (b"FontFile3", b"/Subtype /OpenType ") if face.cff else (b"FontFile2", b"")
    name = _tag(glyphs) + face.name.encode("ascii", "ignore")
    sort = b"/CIDFontType0" if face.cff else b"/CIDFontType2 /CIDToGIDMap /Identity"
    widths = b" ".join(b"%d [%g]" % (glyph, face.width(glyph)) for glyph in glyphs)
    return _Embedded(
        name=name,
        file=_compressed(face.part(glyphs), subtype),
        descriptor=b"<< /Type /FontDescriptor /FontName /%b /Flags 4 /FontBBox [-1000 -500 3000 1500] /ItalicAngle 0 "
        b"/Ascent %d /Descent %d /CapHeight 714 /StemV 80 /%b %%d 0 R >>" % (name, face.ascent, face.descent, kind),
        descendant=b"<< /Type /Font /Subtype %b /BaseFont /%b /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0 >> /DW 1000 /W [%b] /FontDescriptor %%d 0 R >>" % (sort, name, widths),
        meaning=_compressed(_meaning(known)),
    )


def _compressed(content: bytes, more: bytes = b"") -> tuple[bytes, bytes]:
    return zlib.compress(content, 6), more + b"/Length1 %d " % len(content)


def _digest(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()


def _tag(glyphs: list[int]) -> bytes:
    """Six capital letters that tell parts of a font from each other."""
    digest = hashlib.sha256(repr(glyphs).encode()).digest()
    return bytes(65 + byte % 26 for byte in digest[:6]) + b"+"


def _meaning(known: tuple[tuple[int, str], ...]) -> bytes:
    """Which letters glyphs stand for, for who searches and copies."""
    # A part of a letter stands for nothing; readers would make something up where it is left out.
    pairs = [(glyph, letters or "\u200b") for glyph, letters in known]
    blocks = [
        b"%d beginbfchar\n%b\nendbfchar"
        % (
            len(some := pairs[at : at + 100]),
            b"\n".join(b"<%04X> <%b>" % (glyph, letters.encode("utf-16-be").hex().encode()) for glyph, letters in some),
        )
        for at in range(0, len(pairs), 100)
    ]
    return (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /T def /CMapType 2 def\n"
        b"1 begincodespacerange <0000> <FFFF> endcodespacerange\n" + b"\n".join(blocks) + b"\nendcmap end end"
    )


def _picture(writer: "_Writer", picture: Picture) -> int:
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 " % (picture.width, picture.height)
    opacity = writer.packed(picture.opacity, size + b"/ColorSpace /DeviceGray ")
    return writer.packed(picture.colours, size + b"/ColorSpace /DeviceRGB /SMask %d 0 R " % opacity)


def _text(text: str) -> bytes:
    return b"<FEFF" + text.encode("utf-16-be").hex().encode() + b">"


class _Writer:
    """The objects of a file, numbered from 1."""

    def __init__(
        self, head: bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", offsets: Sequence[int] = (), digest: bytes = b""
    ) -> None:
        """Goes on behind the head, with its objects at the offsets, and what tells it from other heads."""
        self._head = head
        self._digest = digest
        self._before = tuple(offsets)
        self._objects: list[bytes] = []

    def add(self, content: bytes) -> int:
        self._objects.append(
            b"%d 0 obj\n%b\nendobj\n" % (number := len(self._before) + len(self._objects) + 1, content)
        )
        return number

    def reserve(self) -> int:
        return self.add(b"")

    def put(self, number: int, content: bytes) -> None:
        self._objects[number - len(self._before) - 1] = b"%d 0 obj\n%b\nendobj\n" % (number, content)

    def packed(self, content: bytes, more: bytes) -> int:
        head = b"<< %b/Filter /FlateDecode /Length %d >>\nstream\n" % (more, len(content))
        return self.add(head + content + b"\nendstream")

    @property
    def offsets(self) -> list[int]:
        """Where the objects are."""
        at = accumulate(map(len, self._objects), initial=len(self._head))
        return [*self._before, *islice(at, len(self._objects))]

    def written(self) -> bytes:
        """What has been written."""
        return b"".join((self._head, *self._objects))

    def rest(self, root: int, info: int) -> bytes:
        """What comes behind the head, to the end of the file."""
        content, offsets = b"".join(self._objects), self.offsets
        identity = _digest(self._digest, *self._objects).hex().encode()
        entries = b"".join([b"%010d 00000 n \n" % offset for offset in offsets])
        return content + (
            b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%b> <%b>] >>\n"
            b"startxref\n%d\n%%%%EOF\n"
            % (
                len(offsets) + 1,
                entries,
                len(offsets) + 1,
                root,
                info,
                identity,
                identity,
                len(self._head) + len(content),
            )
        )
