"""ReminderService over gRPC."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.empty_pb2 import Empty

from services.chassis.grpc.timestamps import time_of
from services.chassis.ids import check_id
from services.chassis.paging import PageTokenInvalid, PageTokens, page_limit
from services.notification.adapters.grpc import reminder_mappers as mappers
from services.notification.adapters.grpc.notifications import Context
from services.notification.application.reminders.ports import OccurrenceFilter, ReminderFilter, StatisticsFilter
from services.notification.application.reminders.reminders import Reminders
from tocsin.notification.v1 import reminder_service_pb2 as pb
from tocsin.notification.v1 import reminder_service_pb2_grpc as rpc

STATISTICS_OF: Final = timedelta(days=30)


class ReminderServicer(rpc.ReminderServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, reminders: Reminders) -> None:
        self._reminders = reminders

    async def CreateReminder(self, request: pb.CreateReminderRequest, context: Context) -> pb.Reminder:
        """See the contract."""
        given = request.reminder
        made = await self._reminders.create(
            given.tenant, given.id, given.user, mappers.content(given), idempotency_key=request.idempotency_key
        )
        return mappers.reminder(made)

    async def GetReminder(self, request: pb.GetReminderRequest, context: Context) -> pb.Reminder:
        """See the contract."""
        return mappers.reminder(await self._reminders.get(request.tenant, request.id))

    async def ListReminders(self, request: pb.ListRemindersRequest, context: Context) -> pb.ListRemindersResponse:
        """See the contract."""
        wanted = ReminderFilter(tenant=request.tenant, user=request.user, state=mappers.state(request.state))
        tokens = PageTokens("reminders", tenant=wanted.tenant, user=wanted.user, state=wanted.state)
        limit, key = page_limit(request.page_size), tokens.read(request.page_token, (str,))
        found = await self._reminders.page(wanted, limit=limit + 1, after=str(key[0]) if key else "")
        return pb.ListRemindersResponse(
            reminders=[mappers.reminder(one) for one in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda one: (one.id,)),
        )

    async def UpdateReminder(self, request: pb.UpdateReminderRequest, context: Context) -> pb.Reminder:
        """See the contract."""
        tenant, id_ = check_id(request.reminder.tenant, "reminder.tenant"), check_id(request.reminder.id, "reminder.id")
        change = mappers.change(request)
        changed = await self._reminders.update(tenant, id_, change, expected=request.expected_version)
        return mappers.reminder(changed)

    async def DeleteReminder(self, request: pb.DeleteReminderRequest, context: Context) -> Empty:
        """See the contract."""
        await self._reminders.delete(request.tenant, request.id, expected=request.expected_version)
        return Empty()

    async def PauseReminder(self, request: pb.PauseReminderRequest, context: Context) -> pb.Reminder:
        """See the contract."""
        return mappers.reminder(
            await self._reminders.pause(request.tenant, request.id, expected=request.expected_version)
        )

    async def ResumeReminder(self, request: pb.ResumeReminderRequest, context: Context) -> pb.Reminder:
        """See the contract."""
        return mappers.reminder(
            await self._reminders.resume(request.tenant, request.id, expected=request.expected_version)
        )

    async def ListReminderOccurrences(
        self, request: pb.ListReminderOccurrencesRequest, context: Context
    ) -> pb.ListReminderOccurrencesResponse:
        """See the contract."""
        wanted = OccurrenceFilter(
            tenant=request.tenant,
            reminder=request.reminder,
            decision=mappers.decision(request.decision),
            start=time_of(request, "from"),
            end=time_of(request, "to"),
        )
        tokens = PageTokens(
            "reminderOccurrences",
            tenant=wanted.tenant,
            reminder=wanted.reminder,
            decision=wanted.decision,
            start=wanted.start,
            end=wanted.end,
        )
        limit, key = page_limit(request.page_size), tokens.read(request.page_token, (str,))
        before = _read_moment(str(key[0])) if key else None
        found = await self._reminders.occurrences(wanted, limit=limit + 1, before=before)
        return pb.ListReminderOccurrencesResponse(
            occurrences=[mappers.occurrence(one) for one in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda one: (one.at.isoformat(),)),
        )

    async def GetReminderStatistics(
        self, request: pb.GetReminderStatisticsRequest, context: Context
    ) -> pb.ReminderStatistics:
        """See the contract."""
        start = time_of(request, "from")
        wanted = StatisticsFilter(
            tenant=request.tenant,
            reminder=request.reminder,
            user=request.user,
            start=start or datetime.now(UTC) - STATISTICS_OF,
            end=time_of(request, "to"),
        )
        return mappers.statistics(await self._reminders.statistics(wanted))


def _read_moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise PageTokenInvalid from None
    if at.tzinfo is None:
        raise PageTokenInvalid
    return at
