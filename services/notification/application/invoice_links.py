"""Links that open one invoice each without another credential."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.chassis.signed_urls import TokenExpired, TokenInvalid
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.domain.errors import InvoiceNotFound, LinkExpired, LinkKeyMissing, LinkUnknown
from services.notification.domain.invoice import InvoiceState
from services.notification.domain.invoice_urls import InvoiceUrls


def _utc_now() -> datetime:
    return datetime.now(UTC)


class InvoiceLinks:
    """Makes links, and answers those who have one; nobody of them is logged in. Without `urls` there are none."""

    def __init__(
        self,
        queries: InvoiceQueries,
        urls: InvoiceUrls | None,
        ttl: timedelta,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._queries = queries
        self._urls = urls
        self._ttl = ttl
        self._now = now

    async def create(self, debt: str) -> tuple[str, datetime]:
        """A URL, and when it expires. Raises LinkKeyMissing, and InvoiceNotFound before the PDF is made."""
        if self._urls is None:
            raise LinkKeyMissing
        invoice = await self._queries.get(debt)
        if invoice.place is None or invoice.state is InvoiceState.CANCELLED:
            raise InvoiceNotFound(f"there is no PDF of it: it is {invoice.state.value}", metadata={"id": debt})
        expires_at = (self._now() + self._ttl).replace(microsecond=0)
        return self._urls.url(invoice.debt, expires_at), expires_at

    async def open(self, token: str) -> tuple[str, bytes]:
        """The debt and the PDF. Raises LinkUnknown, and LinkExpired also where the invoice is cancelled or gone."""
        if self._urls is None:
            raise LinkUnknown
        try:
            debt, debt_file = self._urls.read(token, self._now())
        except TokenInvalid:
            raise LinkUnknown from None
        except TokenExpired:
            raise LinkExpired from None
        try:
            invoice = await self._queries.get(debt)
            if invoice.debt.debt_file != debt_file or invoice.state is InvoiceState.CANCELLED:
                raise LinkExpired
            return debt, await self._queries.download(debt)
        except InvoiceNotFound:
            raise LinkExpired from None
