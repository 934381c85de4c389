"""Draws invoices. Imported in the renderer's process only: reportlab costs 20 MiB and a third of a second.

All invoices share one page: reportlab draws it once, with a mark where the content of an invoice goes. The content
(text and the bars of a Code 128) is written by hand into the stream, and length and cross references are put right:
about 0.2 ms for each, against 1.2 ms for drawing it anew. What needs letters beyond Windows-1252 is drawn by reportlab
with an embedded font.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import reportlab
from reportlab.graphics.barcode import code128
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from services.notification.domain.invoice import Debt

_PAGE: Final = (595, 842)
_MARK: Final = "%TOCSIN-CONTENT%"
_LEFT, _VALUE = 60, 200
_FIELDS: Final = (
    ("Payer", 690),
    ("Government id", 668),
    ("Reference", 646),
    ("Amount due", 612),
    ("Due date", 590),
    ("Debt file", 568),
)
_BAR_WIDTH, _BAR_HEIGHT, _BARS_AT = 1.0, 48, 480
_WRAP = 62
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "(": "\\(", ")": "\\)", "\r": " ", "\n": " "})


def fields(debt: Debt) -> tuple[str, ...]:
    """The values of `_FIELDS`, each at most a line long."""
    values = (debt.name, debt.government_id, debt.id, debt.amount, debt.due_date, debt.debt_file)
    return tuple(value if len(value) <= _WRAP else value[: _WRAP - 1] + "…" for value in values)


def bars(reference: str) -> list[tuple[float, float]]:
    """The bars of the reference in Code 128: offset from the left and width, in points."""
    barcode: Any = code128.Code128(reference, barWidth=_BAR_WIDTH, quiet=False)
    barcode.validate()
    barcode.encode()
    barcode.decompose()
    at, found = 0.0, list[tuple[float, float]]()
    for symbol in str(barcode.decomposed):
        # reportlab's notation: a small letter is a space, a capital one a bar, of 1 (a) to 8 units.
        width = (ord(symbol.lower()) - ord("a") + 1) * _BAR_WIDTH
        if symbol.isupper():
            found.append((at, width))
        at += width
    return found


class InvoiceDrawer:
    """Draws invoices; the same debt gives the same bytes."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._template = _Template.cut(self._draw_template())
        self._embedded = False

    def draw(self, debt: Debt) -> bytes:
        """The PDF of a debt."""
        values = fields(debt)
        try:
            texts = [value.translate(_ESCAPES).encode("cp1252") for value in values]
        except UnicodeEncodeError:
            return self._draw_embedded(debt, values)
        content = [b"BT /F1 11 Tf"]
        content += [
            b"1 0 0 1 %d %d Tm (%b) Tj" % (_VALUE, y, text) for (_, y), text in zip(_FIELDS, texts, strict=True)
        ]
        content.append(b"1 0 0 1 %d %d Tm (%b) Tj ET" % (_LEFT, _BARS_AT - 16, texts[2]))
        content += [b"%g %d %g %d re" % (_LEFT + at, _BARS_AT, width, _BAR_HEIGHT) for at, width in bars(debt.id)]
        content.append(b"f")
        return self._template.filled(
            b"\n".join(content), hashlib.md5(debt.id.encode(), usedforsecurity=False).hexdigest()
        )

    def _draw_template(self) -> bytes:
        buffer = io.BytesIO()
        canvas = Canvas(buffer, pagesize=_PAGE, pageCompression=0, invariant=1)
        self._draw_frame(canvas)
        canvas.setFont("Helvetica", 11)
        canvas.setFillGray(0)
        cast(Any, canvas)._code.append(_MARK)  # the way reportlab's own extensions write
        canvas.showPage()
        canvas.save()
        return buffer.getvalue()

    def _draw_frame(self, canvas: Canvas, font: str = "Helvetica") -> None:
        bold = font + "-Bold" if font == "Helvetica" else font
        canvas.setTitle("Invoice")
        canvas.setFont(bold, 24)
        canvas.drawString(_LEFT, 760, "Invoice")
        canvas.setFont(font, 11)
        canvas.drawRightString(_PAGE[0] - _LEFT, 760, self._issuer)
        canvas.line(_LEFT, 742, _PAGE[0] - _LEFT, 742)
        canvas.setFillGray(0.35)
        for label, y in _FIELDS:
            canvas.drawString(_LEFT, y, label)
        canvas.setFont(font, 9)
        canvas.drawString(_LEFT, 420, "Please give the reference when you pay.")

    def _draw_embedded(self, debt: Debt, values: tuple[str, ...]) -> bytes:
        if not self._embedded:
            folder = Path(reportlab.__file__).parent / "fonts"
            pdfmetrics.registerFont(TTFont("Vera", str(folder / "Vera.ttf")))
            self._embedded = True
        buffer = io.BytesIO()
        canvas = Canvas(buffer, pagesize=_PAGE, invariant=1)
        self._draw_frame(canvas, "Vera")
        canvas.setFillGray(0)
        canvas.setFont("Vera", 11)
        for (_, y), value in zip(_FIELDS, values, strict=True):
            canvas.drawString(_VALUE, y, value)
        canvas.drawString(_LEFT, _BARS_AT - 16, debt.id)
        for at, width in bars(debt.id):
            canvas.rect(_LEFT + at, _BARS_AT, width, _BAR_HEIGHT, stroke=0, fill=1)
        canvas.showPage()
        canvas.save()
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Template:
    """A PDF of one page, cut at the mark in its content stream."""

    before_length: bytes
    between: bytes
    after: bytes
    length: int
    """Bytes of the content stream without what is filled in."""
    offsets: tuple[int, ...]
    """Offset of each object in the file with nothing filled in, in the order of the cross references."""
    mark: int
    old_id: bytes

    @classmethod
    def cut(cls, pdf: bytes) -> "_Template":
        table = pdf.index(b"xref\n")
        body, tail = pdf[:table], pdf[table:]
        mark = body.index(_MARK.encode())
        head = body.rindex(b" obj", 0, mark)
        found = re.compile(rb"/Length (\d+)").search(body, head, mark)
        identity = re.search(rb"/ID\s*\[\s*<([0-9a-f]{32})>", tail)
        offsets = re.findall(rb"(\d{10}) 00000 n", tail)
        if found is None or identity is None or not offsets:
            raise RuntimeError("reportlab writes another form of PDF than the template is cut for")
        end = mark + len(_MARK)
        shift = len(found[1]) + len(_MARK)
        return cls(
            before_length=body[: found.start(1)],
            between=body[found.end(1) : mark],
            after=body[end:],
            length=int(found[1]) - len(_MARK),
            offsets=tuple(int(at) - (shift if int(at) > mark else 0) for at in offsets),
            mark=mark - len(found[1]),
            old_id=identity[1],
        )._with_tail(tail)

    def _with_tail(self, tail: bytes) -> "_Template":
        trailer = tail[tail.index(b"trailer") : tail.index(b"startxref")].replace(self.old_id, b"%(id)s")
        return _Template(
            self.before_length,
            self.between,
            self.after + b"xref\n0 %d\n0000000000 65535 f \n" % (len(self.offsets) + 1) + b"\0" + trailer,
            self.length,
            self.offsets,
            self.mark,
            self.old_id,
        )

    def filled(self, content: bytes, identity: str) -> bytes:
        """The PDF with the content in place of the mark."""
        length = b"%d" % (self.length + len(content))
        shift = len(length) + len(content)
        after, trailer = self.after.split(b"\0", 1)
        table = len(self.before_length) + len(self.between) + shift + after.index(b"xref\n0 ")
        entries = b"".join(b"%010d 00000 n \n" % (at + shift if at > self.mark else at) for at in self.offsets)
        return b"".join(
            (
                self.before_length,
                length,
                self.between,
                content,
                after,
                entries,
                trailer.replace(b"%(id)s", identity.encode()),
                b"startxref\n%d\n%%%%EOF\n" % table,
            )
        )
