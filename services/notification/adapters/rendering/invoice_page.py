"""Draws invoices: one page each, the same bytes for the same debt.

What all invoices in a language share is set once; each has its own few lines beside it. Every text is measured and
broken where its column ends; what does not fit even in small letters, or has a letter that no font has, is refused: a
person looks at it, and nobody gets half of a legal document.
"""

import string
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

import segno
from barcode.codex import Code128
from barcode.itf import ITF
from barcode.writer import SVGWriter

from services.notification.adapters.rendering.fonts import Weight
from services.notification.adapters.rendering.logo import load_logo
from services.notification.adapters.rendering.pdf_file import About, Drawing, Form
from services.notification.adapters.rendering.typesetting import Line, line, without_pictures, wrapped
from services.notification.adapters.texts import Language, language
from services.notification.domain.boleto import Boleto, typed_line
from services.notification.domain.invoice import Debt, Pdf
from services.notification.domain.issuer import Issuer
from services.notification.domain.payment_codes import Bill, CodeImpossible, Epc, Pix, load_code

PAGE: Final = (595.0, 842.0)
_LEFT, _RIGHT, _MIDDLE = 56.0, 539.0, 330.0
_SIZES: Final = (11.0, 9.0, 7.5, 6.0)
_SMALL = 9.0
_GRAY = 0.4
_LEADING = 1.35
_BARS_HEIGHT = 36.0
_QR_SIZE = 140.0
_BOLETO_WIDTH, _BOLETO_HEIGHT = 292.0, 36.9
"""103 by 13 mm, as FEBRABAN asks."""
_ASCII: Final = f"{string.ascii_letters}{string.digits}&'()+,-./:@_"
_WESTERN: Final = f"{_ASCII}\u0152\u0153" + "".join(chr(one) for one in range(0xC0, 0x100) if chr(one).isalpha())
_LATIN: Final = _WESTERN + "".join(map(chr, range(0x100, 0x180)))
_USUAL: Final = (_ASCII, _WESTERN, _LATIN)
"""Invoices that need no more letters than one of these share fonts with exactly these; the first that suffices."""
_USUAL_BOLD: Final = "0123456789.,'\u2019-+() $€£¥R\u00a0\u202f"
"""The same of bold ones, which amounts are written in."""

_NO_WRITER: Final = SVGWriter()
"""Writes nothing: a bar code makes one of its own otherwise, each time."""


class DoesNotFit(Exception):
    """The text is too long for its place."""


class InvoiceDrawer:
    """Draws the invoices of an issuer."""

    def __init__(self, issuer: Issuer, language: str = "en", currency: str = "") -> None:
        """`language` and `currency` are those of debts that name none. Raises NoLetter, DoesNotFit and ValueError."""
        self._issuer = issuer
        self._language = language
        self._currency = currency
        self._codes = [load_code(one) for one in issuer.payment]
        self._logo = load_logo(Path(issuer.logo)) if issuer.logo else None
        self._form = cache(self._make_form)
        self._form(language, _ASCII)

    def draw(self, debt: Debt) -> Pdf:
        """The PDF of a debt. Raises NoLetter, TooManyMarks and DoesNotFit."""
        spoken = language(debt.language, self._language)
        own = Drawing()
        y = _fitted(own, [without_pictures(debt.name)], _LEFT, 640, _MIDDLE - _LEFT - 20, room=84)
        known_by = f"{spoken.invoice['government_id']}: {debt.government_id}"
        _fitted(own, [known_by], _LEFT, y - 14, _MIDDLE - _LEFT - 20, room=44)
        issued = spoken.date(debt.issued) if debt.issued else ""
        for y, value in ((640, debt.id), (604, issued), (568, spoken.date(debt.due_date))):
            _fitted(own, [value], _MIDDLE, y, _RIGHT - _MIDDLE, room=12)
        currency = debt.currency or self._currency
        amount = line(spoken.amount(debt.amount, currency), Weight.BOLD)
        size = min(20.0, (_RIGHT - _MIDDLE) * 1000 / amount.width)
        own.text(amount, _RIGHT - amount.width * size / 1000, 488, size)
        own.boxes(bars(debt.id, _LEFT, 92, _RIGHT - _LEFT, _BARS_HEIGHT))
        _fitted(own, [debt.id], _LEFT, 80, _RIGHT - _LEFT, room=10, sizes=(_SMALL, 7.5))
        self._draw_codes(own, debt, currency, spoken)
        about = About(
            title=f"{spoken.invoice['title']} {debt.id}",
            author=self._issuer.name,
            language=spoken.tag,
            made=date.fromisoformat(debt.issued) if debt.issued else None,
        )
        forms = (self._form(spoken.tag, letters) for letters in _USUAL)
        form = next((one for one in forms if one.has(own)), self._form(spoken.tag, _ASCII))
        return form.pdf(own, about)

    def _make_form(self, tag: str, letters: str) -> Form:
        """What all invoices in a language share that need no other letters."""
        spoken, issuer, frame = language(tag), self._issuer, Drawing()
        frame.need(line(letters))
        frame.need(line(_USUAL_BOLD, Weight.BOLD))
        if self._logo is not None:
            scale = min(180 / self._logo.width, 60 / self._logo.height)
            frame.picture(_LEFT, 792 - self._logo.height * scale, self._logo.width * scale, self._logo.height * scale)
        y = _fitted(frame, [issuer.name], _MIDDLE, 780, _RIGHT - _MIDDLE, room=44, weight=Weight.BOLD)
        beside = [*issuer.address, *issuer.contact]
        if issuer.tax_id:
            beside.append(f"{spoken.invoice['tax_id']}: {issuer.tax_id}")
        if beside:
            _fitted(frame, beside, _MIDDLE, y - 12, _RIGHT - _MIDDLE, room=y - 12 - 706, sizes=(_SMALL, 7.5, 6.0, 5.0))
        frame.text(line(spoken.invoice["title"], Weight.BOLD), _LEFT, 692, 22)
        frame.rule(_LEFT, 676, _RIGHT - _LEFT)
        self._label(frame, spoken, "payer", _LEFT, 654)
        self._label(frame, spoken, "reference", _MIDDLE, 654)
        self._label(frame, spoken, "issued", _MIDDLE, 618)
        self._label(frame, spoken, "due", _MIDDLE, 582)
        frame.rule(_LEFT, 520, _RIGHT - _LEFT)
        frame.text(line(spoken.invoice["amount"]), _LEFT, 488, 13)
        frame.rule(_LEFT, 470, _RIGHT - _LEFT)
        if issuer.bank:
            frame.text(line(spoken.invoice["pay_to"], Weight.BOLD), _LEFT, 440, 11)
            _fitted(frame, issuer.bank, _LEFT, 422, _MIDDLE - _LEFT - 20, room=130)
        self._label(frame, spoken, "note", _LEFT, 138)
        return Form(frame, PAGE, self._logo)

    def _draw_codes(self, own: Drawing, debt: Debt, currency: str, spoken: Language) -> None:
        codes = [code for code in self._codes if code.currency == currency]
        if self._codes and not codes:
            raise CodeImpossible(f"the issuer has no payment code for {currency or 'a debt without a currency'}")
        issued = date.fromisoformat(debt.issued) if debt.issued else None
        for code in codes:
            due = date.fromisoformat(debt.due_date)
            draw_code(own, code, Bill(reference=debt.id, amount=Decimal(debt.amount), due=due, issued=issued))
            if not isinstance(code, Boleto):
                self._label(own, spoken, "scan", _MIDDLE, 442)

    @staticmethod
    def _label(frame: Drawing, spoken: Language, text: str, x: float, y: float) -> None:
        frame.text(line(spoken.invoice[text]), x, y, _SMALL, _GRAY)


def draw_code(drawing: Drawing, code: Epc | Pix | Boleto, bill: Bill) -> None:
    """What a bank's app reads, and what it says where people may type or copy it. Raises CodeImpossible."""
    if isinstance(code, Boleto):
        try:
            digits = code.digits(bill.reference, bill.amount, bill.due, bill.issued)
        except ValueError as error:
            raise CodeImpossible(str(error)) from None
        drawing.text(line(typed_line(digits)), _LEFT, 238, 12)
        [modules] = ITF(digits, narrow=2, wide=5).build()
        drawing.boxes(_bars(modules, _LEFT, 190, _BOLETO_WIDTH / len(modules), _BOLETO_HEIGHT))
        return
    payload = code.payload(bill)
    # Level M as EPC069-12 asks; four modules of white around it belong to the code.
    matrix = segno.make_qr(payload, error="m", boost_error=False, encoding="utf-8").matrix
    unit = _QR_SIZE / (len(matrix) + 8)
    top = 436 - 4 * unit
    rows = [
        _bars("".join(map(str, row)), _MIDDLE + 4 * unit, top - (number + 1) * unit, unit, unit)
        for number, row in enumerate(matrix)
    ]
    drawing.boxes([box for row in rows for box in row])
    if isinstance(code, Pix):
        _fitted(drawing, [payload], _MIDDLE, 436 - _QR_SIZE - 10, _RIGHT - _MIDDLE, room=44, sizes=(7.5, 6.0, 5.0))


def _fitted(
    drawing: Drawing,
    texts: Sequence[str],
    x: float,
    y: float,
    width: float,
    *,
    room: float,
    weight: Weight = Weight.REGULAR,
    sizes: Sequence[float] = _SIZES,
) -> float:
    """Draws the texts in a column, from `y` down, in the largest size in which they need no more than `room`; the place
    of the last line."""
    for size in sizes:
        lines: list[Line] = [one for text in texts for one in wrapped(text, width * 1000 / size, weight)]
        leading = size * _LEADING
        # One letter may be wider than a column, however small.
        fits = all(one.width * size <= width * 1000 + 1 for one in lines)
        if fits and leading * (len(lines) - 1) <= room:
            for number, one in enumerate(lines):
                drawing.text(one, x, y - number * leading, size)
            return y - max(len(lines) - 1, 0) * leading
    raise DoesNotFit(f"{texts[0][:60]!r} does not fit on the page")


def bars(reference: str, x: float, y: float, width: float, height: float) -> list[tuple[float, float, float, float]]:
    """The bars of the reference in Code 128 (ISO/IEC 15417), no wider than `width`: places and sizes."""
    [modules] = Code128(reference, _NO_WRITER).build()
    return _bars(modules, x, y, min(1.1, width / len(modules)), height)


def _bars(modules: str, x: float, y: float, unit: float, height: float) -> list[tuple[float, float, float, float]]:
    found: list[tuple[float, float, float, float]] = []
    at = 0
    while (begin := modules.find("1", at)) >= 0:
        at = modules.find("0", begin)
        at = len(modules) if at < 0 else at
        found.append((x + begin * unit, y, (at - begin) * unit, height))
    return found
