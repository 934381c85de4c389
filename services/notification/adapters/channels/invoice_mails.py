"""E-mails of invoices: text and HTML in the debtor's language, and the PDF."""

import html
from binascii import b2a_base64
from datetime import UTC, datetime
from email.utils import format_datetime

from services.notification.adapters.channels.mails import Composer, subject_line
from services.notification.adapters.texts import language
from services.notification.application.ports.invoices import Mail
from services.notification.domain.invoice import Debt

_LINE = 76
_BASE64 = "Content-Transfer-Encoding: base64\r\n"


class InvoiceComposer:
    """`language` and `currency` are those of debts that name none; `issuer` is who signs; `unsubscribe` a URL."""

    def __init__(
        self, composer: Composer, *, issuer: str, language: str = "en", currency: str = "", unsubscribe: str = ""
    ) -> None:
        self._composer = composer
        self._issuer = issuer
        self._language = language
        self._currency = currency
        self._unsubscribe = f"List-Unsubscribe: <{unsubscribe}>\r\n" if unsubscribe else ""

    def __call__(self, debt: Debt, pdf: bytes) -> Mail:
        """A debt's invoice with the PDF attached. Composed by hand: a million of them are sent in a row, and every
        value in the head is plain ASCII by its contract (the id), by check (the address), or encoded."""
        spoken = language(debt.language, self._language)
        filled = {
            "name": debt.name,
            "reference": debt.id,
            "amount": spoken.amount(debt.amount, debt.currency or self._currency),
            "due": spoken.date(debt.due_date),
        }
        greeting, text = (spoken.mail[part].format_map(filled) for part in ("greeting", "text"))
        signature = f"{spoken.mail['regards']}\n{self._issuer}"
        plain = f"{greeting}\r\n\r\n{text}\r\n\r\n" + signature.replace("\n", "\r\n") + "\r\n"
        page = (
            f'<!doctype html>\r\n<html lang="{spoken.tag}"><body style="font-family:sans-serif">\r\n'
            f"<p>{html.escape(greeting)}</p>\r\n<p>{html.escape(text)}</p>\r\n"
            f"<p>{html.escape(signature).replace(chr(10), '<br>')}</p>\r\n</body></html>\r\n"
        )
        outer, inner = f"=_{debt.id}", f"=_a_{debt.id}"
        head = (
            f"To: {debt.email}\r\nDate: {format_datetime(datetime.now(UTC))}\r\n"
            f"Message-ID: {self._composer.message_id(f'invoice.{debt.id}')}\r\nAuto-Submitted: auto-generated\r\n"
            f"{self._unsubscribe}"
            f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{outer}"\r\n\r\n'
            f'--{outer}\r\nContent-Type: multipart/alternative; boundary="{inner}"\r\n\r\n'
        )
        parts = (
            self._composer.from_line + b"\r\n",
            subject_line(spoken.mail["subject"].format_map(filled)),
            head.encode("ascii"),
            f"--{inner}\r\nContent-Type: text/plain; charset=utf-8\r\n{_BASE64}\r\n".encode("ascii"),
            _wrapped(plain.encode()),
            f"\r\n--{inner}\r\nContent-Type: text/html; charset=utf-8\r\n{_BASE64}\r\n".encode("ascii"),
            _wrapped(page.encode()),
            f"\r\n--{inner}--\r\n\r\n--{outer}\r\nContent-Type: application/pdf\r\n{_BASE64}"
            f'Content-Disposition: attachment; filename="invoice-{debt.id}.pdf"\r\n\r\n'.encode("ascii"),
            _wrapped(pdf),
            f"\r\n--{outer}--\r\n".encode("ascii"),
        )
        return Mail(recipient=debt.email, content=b"".join(parts))


def _wrapped(content: bytes) -> bytes:
    encoded = b2a_base64(content, newline=False)
    return b"\r\n".join([encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]) + b"\r\n"
