"""InvoiceService over gRPC."""

from google.api.httpbody_pb2 import HttpBody

from services.chassis.grpc.timestamps import timestamp
from services.chassis.paging import PageTokens, page_limit
from services.notification.adapters.grpc import mappers
from services.notification.adapters.grpc.notifications import Context
from services.notification.adapters.grpc.positions import read_position
from services.notification.application.invoice_links import InvoiceLinks
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.application.invoice_retries import InvoiceRetries
from tocsin.notification.v1 import invoice_service_pb2 as pb
from tocsin.notification.v1 import invoice_service_pb2_grpc as rpc

MAX_AT_ONCE = 10_000


class InvoiceServicer(rpc.InvoiceServiceServicer):
    """Messages in, queries to the use cases, messages out."""

    def __init__(self, queries: InvoiceQueries, retries: InvoiceRetries, links: InvoiceLinks) -> None:
        self._queries = queries
        self._retries = retries
        self._links = links

    async def GetInvoice(self, request: pb.GetInvoiceRequest, context: Context) -> pb.Invoice:
        """See the contract."""
        return mappers.invoice(await self._queries.get(request.debt))

    async def ListInvoices(self, request: pb.ListInvoicesRequest, context: Context) -> pb.ListInvoicesResponse:
        """See the contract."""
        state = mappers.invoice_state(request.state)
        tokens = PageTokens("invoices", debt_file=request.debt_file, state=state)
        limit = page_limit(request.page_size)
        after = read_position(tokens, request.page_token)
        found = await self._queries.page(debt_file=request.debt_file, state=state, limit=limit + 1, after=after)
        return pb.ListInvoicesResponse(
            invoices=[mappers.invoice(item) for item in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda item: (item.created_at.isoformat(), item.debt.id)),
        )

    async def RetryInvoice(self, request: pb.RetryInvoiceRequest, context: Context) -> pb.Invoice:
        """See the contract."""
        return mappers.invoice(await self._retries.retry(request.debt))

    async def RetryInvoices(self, request: pb.RetryInvoicesRequest, context: Context) -> pb.RetryInvoicesResponse:
        """See the contract."""
        wanted = mappers.invoice_filter(request.filter)
        retried, more = await self._retries.retry_many(wanted, request.limit or MAX_AT_ONCE, dry_run=request.dry_run)
        return pb.RetryInvoicesResponse(retried=retried, more=more)

    async def CountInvoices(self, request: pb.CountInvoicesRequest, context: Context) -> pb.CountInvoicesResponse:
        """See the contract."""
        found = await self._queries.counts(request.debt_file)
        counts = [pb.CountInvoicesResponse.Count(state=state.value, invoices=found[state]) for state in sorted(found)]
        return pb.CountInvoicesResponse(counts=counts)

    async def DownloadInvoice(self, request: pb.DownloadInvoiceRequest, context: Context) -> HttpBody:
        """See the contract."""
        return HttpBody(content_type="application/pdf", data=await self._queries.download(request.debt))

    async def CreateInvoiceLink(self, request: pb.CreateInvoiceLinkRequest, context: Context) -> pb.InvoiceLink:
        """See the contract."""
        url, expires_at = await self._links.create(request.debt)
        return pb.InvoiceLink(url=url, expire_time=timestamp(expires_at))

    async def OpenInvoice(self, request: pb.OpenInvoiceRequest, context: Context) -> pb.InvoiceDocument:
        """See the contract."""
        debt, content = await self._links.open(request.token)
        return pb.InvoiceDocument(debt=debt, content=content)
