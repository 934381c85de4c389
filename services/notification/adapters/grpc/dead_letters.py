"""DeadLetterService over gRPC."""

from dataclasses import asdict

from services.chassis.paging import PageTokens, page_limit
from services.notification.adapters.event_types import payload_json
from services.notification.adapters.grpc import mappers
from services.notification.adapters.grpc.notifications import Context
from services.notification.application.dead_letters import DeadLetters
from services.notification.domain.dead_letter import LetterState
from tocsin.notification.v1 import dead_letter_service_pb2 as pb
from tocsin.notification.v1 import dead_letter_service_pb2_grpc as rpc

MAX_PAYLOAD_JSON = 64 * 1024
MAX_AT_ONCE = 1000


class DeadLetterServicer(rpc.DeadLetterServiceServicer):
    """The dead letters of all services."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        """See the contract."""
        wanted = mappers.letter_filter(
            request, LetterState(pb.DeadLetter.State.Name(request.state or pb.DeadLetter.OPEN))
        )
        tokens = PageTokens("deadLetters", **asdict(wanted))
        limit = page_limit(request.page_size)
        key = tokens.read(request.page_token, (int,))
        before = None if key is None else int(key[0])
        found = await self._letters.page(wanted, before=before, limit=limit + 1)
        return pb.ListDeadLettersResponse(
            dead_letters=[mappers.dead_letter(letter) for letter in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda letter: (letter.number,)),
        )

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.DeadLetter:
        """See the contract."""
        letter = await self._letters.get(request.id)
        text = payload_json(letter.type, letter.payload, MAX_PAYLOAD_JSON)
        return mappers.dead_letter(letter, text)

    async def RetryDeadLetter(self, request: pb.RetryDeadLetterRequest, context: Context) -> pb.RetryDeadLetterResponse:
        """See the contract."""
        return pb.RetryDeadLetterResponse(subject=await self._letters.retry(request.id))

    async def RetryDeadLetters(
        self, request: pb.RetryDeadLettersRequest, context: Context
    ) -> pb.RetryDeadLettersResponse:
        """See the contract."""
        wanted = mappers.letter_filter(request.filter)
        retried, more = await self._letters.retry_many(wanted, request.limit or MAX_AT_ONCE, dry_run=request.dry_run)
        return pb.RetryDeadLettersResponse(retried=retried, more=more)

    async def ArchiveDeadLetters(
        self, request: pb.ArchiveDeadLettersRequest, context: Context
    ) -> pb.ArchiveDeadLettersResponse:
        """See the contract."""
        wanted = mappers.letter_filter(request.filter)
        archived, more = await self._letters.archive_many(wanted, request.limit or MAX_AT_ONCE, dry_run=request.dry_run)
        return pb.ArchiveDeadLettersResponse(archived=archived, more=more)

    async def ArchiveDeadLetter(
        self, request: pb.ArchiveDeadLetterRequest, context: Context
    ) -> pb.ArchiveDeadLetterResponse:
        """See the contract."""
        await self._letters.archive(request.id)
        return pb.ArchiveDeadLetterResponse()
