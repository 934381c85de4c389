"""URLs that open one invoice each, until they expire."""

from datetime import UTC, date, datetime, time, timedelta

from services.chassis.signed_urls import SignedUrls, TokenInvalid
from services.notification.domain.invoice import Debt

PATH = "/v1/invoices:content"
_APART = b"\0"


class InvoiceUrls:
    """Signed for the debt and the file that it came from: an id that is free again after a rollback may become that of
    somebody else's debt, whose invoice an old URL must not open."""

    def __init__(self, urls: SignedUrls, base: str) -> None:
        """`base` is where people reach the edge; empty where nobody has said it."""
        self._urls = urls
        self._base = base

    def url(self, debt: Debt, expires_at: datetime) -> str:
        """The same for the same arguments."""
        return self._urls.mint(_APART.join((debt.id.encode(), debt.debt_file.encode())), expires_at, self._base)

    def read(self, token: str, now: datetime) -> tuple[str, str]:
        """The debt and its file. Raises TokenInvalid and TokenExpired."""
        debt, apart, debt_file = self._urls.read(token, now).partition(_APART)
        if not apart:
            raise TokenInvalid
        return debt.decode(), debt_file.decode()


class MailedLinks:
    """The links in e-mails, good for `ttl` from the date of issue on: one that is sent again is the same."""

    def __init__(self, urls: InvoiceUrls, ttl: timedelta) -> None:
        self._urls = urls
        self._ttl = ttl

    def url(self, debt: Debt) -> str:
        """Of the debt's invoice."""
        issued = datetime.combine(date.fromisoformat(debt.issued), time(), UTC)
        return self._urls.url(debt, issued + timedelta(days=1) + self._ttl)
