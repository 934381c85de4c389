"""Pages of windows as messages: worked out and built once for all who ask for the same at the same time."""

from collections.abc import Sequence
from typing import Final

from services.aggregation.adapters.grpc import mappers as to
from services.aggregation.application.queries.lists import Lists
from services.aggregation.application.queries.single_flight import SingleFlight
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb

_PAGES: Final = 2
"""Pages that are worked out at the same time; those who ask for one meanwhile share it."""
_MAX_SHARED: Final = 64


class WindowPages:
    """Answers ListWindows. A page shows all that was committed before it was asked for, shared or not."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._flight = SingleFlight(self._page, at_once=_PAGES, limit=_MAX_SHARED)

    async def get(self, request: pb.ListWindowsRequest) -> pb.ListWindowsResponse:
        """The page; the message is that of other callers, too. Raises what `Lists.windows` raises."""
        return await self._flight.ask(request.SerializeToString(deterministic=True), request)

    async def _page(self, _: bytes, requests: Sequence[pb.ListWindowsRequest]) -> Sequence[pb.ListWindowsResponse]:
        page = await self._lists.windows(to.range_query(requests[0]), to.step_of(requests[0]))
        windows = [to.window_message(item) for item in page.items]
        return [pb.ListWindowsResponse(windows=windows, next_page_token=page.next_token)] * len(requests)
