"""E-mails of invoices: text and HTML in the debtor's language, and the PDF, or a link to it."""

import html
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from services.notification.adapters.channels.mails import Composer, subject_line
from services.notification.adapters.texts import Language, language
from services.notification.application.ports.invoices import Mail
from services.notification.domain.invoice import Debt
from services.notification.domain.invoice_urls import MailedLinks

_LINE = 76
_BASE64 = "Content-Transfer-Encoding: base64\r\n"


class InvoiceComposer:
    """`language` and `currency` are those of debts that name none; `issuer` is who signs; `unsubscribe` a URL. With
    `links` an e-mail has a link to the PDF in place of it. `sender` is empty where it is the deployment's."""

    def __init__(
        self,
        composer: Composer,
        *,
        issuer: str,
        language: str = "en",
        currency: str = "",
        unsubscribe: str = "",
        links: MailedLinks | None = None,
        sender: str = "",
    ) -> None:
        self._composer = composer
        self._issuer = issuer
        self._language = language
        self._currency = currency
        self._unsubscribe = f"List-Unsubscribe: <{unsubscribe}>\r\n" if unsubscribe else ""
        self._links = links
        self._sender = sender

    def __call__(self, debt: Debt, pdf: bytes) -> Mail:
        """A debt's invoice. Composed by hand: a million of them are sent in a row, and every value in the head is plain
        ASCII by its contract (the id), by check (the address), or encoded."""
        spoken = language(debt.language, self._language)
        filled = {
            "name": debt.name,
            "reference": debt.id,
            "amount": spoken.amount(debt.amount, debt.currency or self._currency),
            "due": spoken.date(debt.due_date),
        }
        id_ = self._composer.message_id(f"invoice.{debt.id}")
        head = (
            f"To: {debt.email}\r\nDate: {format_datetime(datetime.now(UTC))}\r\n"
            f"Message-ID: {id_}\r\nAuto-Submitted: auto-generated\r\n"
            f"{self._unsubscribe}MIME-Version: 1.0\r\n"
        )
        parts = [
            self._composer.from_line + b"\r\n",
            subject_line(spoken.mail["subject"].format_map(filled)),
            head.encode("ascii"),
        ]
        texts = self._texts(debt, spoken, filled)
        if self._links is not None:
            return self._mail(debt, id_, (*parts, texts))
        outer, file = f"=_m_{debt.id}", spoken.mail["file"].format_map(filled)
        parts += [
            f'Content-Type: multipart/mixed; boundary="{outer}"\r\n\r\n--{outer}\r\n'.encode("ascii"),
            texts,
            f"\r\n--{outer}\r\nContent-Type: application/pdf\r\n{_BASE64}"
            f'Content-Disposition: attachment; filename="{file}"\r\n\r\n'.encode("ascii"),
            _wrapped(pdf),
            f"\r\n--{outer}--\r\n".encode("ascii"),
        ]
        return self._mail(debt, id_, parts)

    def _mail(self, debt: Debt, id_: str, parts: Iterable[bytes]) -> Mail:
        # What the Message-ID is between its brackets: a report names what a reader of the e-mail sees.
        return Mail(recipient=debt.email, sender=self._sender, envelope_id=id_[1:-1], content=b"".join(parts))

    def _texts(self, debt: Debt, spoken: Language, filled: Mapping[str, str]) -> bytes:
        """What it says, as text and as HTML."""
        url = self._links.url(debt) if self._links is not None else ""
        greeting = spoken.mail["greeting"].format_map(filled)
        text = spoken.mail["linked" if url else "text"].format_map(filled)
        signature = f"{spoken.mail['regards']}\n{self._issuer}"
        below = f"{url}\r\n\r\n" if url else ""
        plain = f"{greeting}\r\n\r\n{text}\r\n\r\n{below}" + signature.replace("\n", "\r\n") + "\r\n"
        below = f'<p><a href="{html.escape(url)}">{html.escape(spoken.mail["open"])}</a></p>\r\n' if url else ""
        page = (
            f'<!doctype html>\r\n<html lang="{spoken.tag}"><body style="font-family:sans-serif">\r\n'
            f"<p>{html.escape(greeting)}</p>\r\n<p>{html.escape(text)}</p>\r\n{below}"
            f"<p>{html.escape(signature).replace(chr(10), '<br>')}</p>\r\n</body></html>\r\n"
        )
        # No beginning of the other boundary: readers need not look further than that (RFC 2046, 5.1.1).
        inner = f"=_a_{debt.id}"
        return b"".join(
            (
                f'Content-Type: multipart/alternative; boundary="{inner}"\r\n\r\n'.encode("ascii"),
                f"--{inner}\r\nContent-Type: text/plain; charset=utf-8\r\n{_BASE64}\r\n".encode("ascii"),
                _wrapped(plain.encode()),
                f"\r\n--{inner}\r\nContent-Type: text/html; charset=utf-8\r\n{_BASE64}\r\n".encode("ascii"),
                _wrapped(page.encode()),
                f"\r\n--{inner}--\r\n".encode("ascii"),
            )
        )


def _wrapped(content: bytes) -> bytes:
    encoded = b2a_base64(content, newline=False)
    return b"\r\n".join([encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]) + b"\r\n"
