"""The servicer: message -> query -> message."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.aggregation.adapters.grpc import amendment_mappers as amendments
from services.aggregation.adapters.grpc import correction_mappers as also
from services.aggregation.adapters.grpc import mappers as to
from services.aggregation.adapters.grpc.answer_units import in_unit
from services.aggregation.adapters.grpc.window_pages import WindowPages
from services.aggregation.application.partition.amendment_request import AmendReading, ReadingAmendments
from services.aggregation.application.partition.decision_request import CorrectionDecisions
from services.aggregation.application.partition.recomputation_request import RoomRecomputation
from services.aggregation.application.queries.averages import Averages
from services.aggregation.application.queries.corrections import Corrections
from services.aggregation.application.queries.lists import Lists
from services.aggregation.application.queries.live_watch import Watchers
from services.aggregation.application.queries.reading_conflicts import ReadingConflicts
from services.aggregation.application.queries.series_list import SeriesFilter, SeriesList
from services.aggregation.domain.errors import StepUnknown
from services.aggregation.domain.late.amendments import AmendmentOutcome
from services.aggregation.domain.times import SECOND
from services.chassis.auth import principal
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import AggregationServiceServicer


class AggregationServicer(AggregationServiceServicer):
    """See aggregation_service.proto. `announced`: the steps whose windows are published."""

    def __init__(
        self,
        averages: Averages,
        lists: Lists,
        series_list: SeriesList,
        corrections: Corrections,
        recomputing: RoomRecomputation,
        amending: ReadingAmendments,
        conflicts: ReadingConflicts,
        decisions: CorrectionDecisions,
        watchers: Watchers,
        *,
        announced: Sequence[int],
        stopping: asyncio.Event,
    ) -> None:
        self._averages = averages
        self._lists = lists
        self._window_pages = WindowPages(lists)
        self._series_list = series_list
        self._corrections = corrections
        self._recomputing = recomputing
        self._amending = amending
        self._conflicts = conflicts
        self._decisions = decisions
        self._watchers = watchers
        self._announced = announced
        self._stopping = stopping

    async def GetRoomAverage(self, request: pb.GetRoomAverageRequest, context: Any) -> pb.Average:
        query = to.average_query(request)
        answer = to.average_message(query, await self._averages.get(query))
        in_unit(answer, request.unit)
        return answer

    async def GetBuildingAverage(self, request: pb.GetBuildingAverageRequest, context: Any) -> pb.BuildingAverage:
        query = to.building_query(request)
        answer = to.building_message(query, await self._averages.building(query))
        in_unit(answer, request.unit)
        return answer

    async def ListRoomAverages(self, request: pb.ListRoomAveragesRequest, context: Any) -> pb.ListRoomAveragesResponse:
        query = to.rooms_query(request)
        page = await self._averages.rooms(query)
        answers = [to.average_message(query, item) for item in page.items]
        for answer in answers:
            in_unit(answer, request.unit)
        return pb.ListRoomAveragesResponse(averages=answers, next_page_token=page.next_token)

    async def ListWindows(self, request: pb.ListWindowsRequest, context: Any) -> pb.ListWindowsResponse:
        return await self._window_pages.get(request)

    async def ListReadings(self, request: pb.ListReadingsRequest, context: Any) -> pb.ListReadingsResponse:
        page, unit = await self._lists.readings(to.range_query(request))
        return pb.ListReadingsResponse(
            readings=[to.reading_message(item) for item in page.items], unit=unit, next_page_token=page.next_token
        )

    async def ListSeries(self, request: pb.ListSeriesRequest, context: Any) -> pb.ListSeriesResponse:
        wanted = SeriesFilter(request.building, request.room, request.sensor_type)
        page = await self._series_list.page(wanted, request.page_size, request.page_token)
        return pb.ListSeriesResponse(
            series=[to.series_message(info) for info in page.items], next_page_token=page.next_token
        )

    async def ListCorrections(self, request: pb.ListCorrectionsRequest, context: Any) -> pb.ListCorrectionsResponse:
        wanted = also.corrections_query(request)
        page, total = await self._corrections.page(wanted, request.page_size, request.page_token)
        return pb.ListCorrectionsResponse(
            corrections=[also.correction_message(item) for item in page.items],
            next_page_token=page.next_token,
            total_size=total,
        )

    async def ListReadingConflicts(
        self, request: pb.ListReadingConflictsRequest, context: Any
    ) -> pb.ListReadingConflictsResponse:
        page = await self._conflicts.page(also.conflicts_query(request), request.page_size, request.page_token)
        return pb.ListReadingConflictsResponse(
            conflicts=[also.conflict_message(item) for item in page.items], next_page_token=page.next_token
        )

    async def VoidReading(self, request: pb.VoidReadingRequest, context: Any) -> pb.VoidReadingResponse:
        reading, changed, windows = await self._amend(amendments.void_command(request, principal.current().subject))
        return pb.VoidReadingResponse(reading=reading, changed=changed, windows=windows)

    async def VoidReadings(self, request: pb.VoidReadingsRequest, context: Any) -> pb.VoidReadingsResponse:
        done = await self._amending.void_range(amendments.range_command(request, principal.current().subject))
        return pb.VoidReadingsResponse(readings=done.readings, changed=done.changed, windows=done.windows)

    async def ReplaceReading(self, request: pb.ReplaceReadingRequest, context: Any) -> pb.ReplaceReadingResponse:
        reading, changed, windows = await self._amend(amendments.replace_command(request, principal.current().subject))
        return pb.ReplaceReadingResponse(reading=reading, changed=changed, windows=windows)

    async def _amend(self, command: AmendReading) -> tuple[window_pb2.StoredReading, bool, int]:
        done = await self._amending.amend(command)
        return amendments.amended_message(command, done), done.outcome == AmendmentOutcome.APPLIED, done.windows

    async def DecideCorrection(self, request: pb.DecideCorrectionRequest, context: Any) -> pb.DecideCorrectionResponse:
        command = also.decide_command(request, principal.current().subject)
        changed, windows = await self._decisions.decide(command, has_value=request.HasField("value"))
        found = await self._corrections.one(request.building, request.room, *command.place)
        return pb.DecideCorrectionResponse(
            correction=None if found is None else also.correction_message(found), changed=changed, windows=windows
        )

    async def RecomputeWindows(self, request: pb.RecomputeWindowsRequest, context: Any) -> pb.RecomputeWindowsResponse:
        return also.recomputed_message(await self._recomputing.recompute(also.recompute_command(request)))

    async def WatchWindows(self, request: pb.WatchWindowsRequest, context: Any) -> AsyncIterator[window_pb2.Window]:
        wanted = to.wanted(request)
        if wanted.step and wanted.step not in self._announced:
            known = ", ".join(f"{step // SECOND}s" for step in self._announced)
            raise StepUnknown(f"{wanted.step / SECOND:g}s", known)
        async for window in self._watchers.watch(wanted, self._stopping):
            yield to.closed_window_message(window.message)
