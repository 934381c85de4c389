"""NotificationStatisticsService over gRPC."""

import grpc.aio

from services.chassis.grpc.timestamps import timestamp
from services.notification.adapters.grpc import mappers
from services.notification.application.statistics import StatisticsQueries
from services.notification.domain.notification import Status
from services.notification.domain.statistics import Figures, Interval
from tocsin.notification.v1 import notification_statistics_service_pb2 as pb
from tocsin.notification.v1 import notification_statistics_service_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[object, object]


class NotificationStatisticsServicer(rpc.NotificationStatisticsServiceServicer):
    """Messages in, queries to the use cases, messages out."""

    def __init__(self, queries: StatisticsQueries) -> None:
        self._queries = queries

    async def CountNotifications(
        self, request: pb.CountNotificationsRequest, context: Context
    ) -> pb.NotificationCounts:
        """See the contract."""
        found = await self._queries.statistics(request.tenant, mappers.period(request))
        return _counts(found.whole)

    async def GetNotificationStatistics(
        self, request: pb.GetNotificationStatisticsRequest, context: Context
    ) -> pb.NotificationStatistics:
        """See the contract."""
        interval = Interval[request.Interval.Name(request.interval)] if request.interval else None
        found = await self._queries.statistics(request.tenant, mappers.period(request), interval)
        return pb.NotificationStatistics(
            tenant=request.tenant,
            figures=_figures(found.whole),
            series=[
                pb.NotificationStatistics.Point(start=timestamp(start), figures=_figures(point))
                for start, point in found.series
            ],
        )


def _counts(figures: Figures) -> pb.NotificationCounts:
    return pb.NotificationCounts(
        total=figures.total,
        pending=figures.statuses[Status.PENDING],
        sent=figures.statuses[Status.SENT],
        failed=figures.statuses[Status.FAILED],
    )


def _figures(figures: Figures) -> pb.NotificationStatistics.Figures:
    message = pb.NotificationStatistics.Figures
    return message(
        counts=_counts(figures),
        types=[message.TypeCount(type=kind.value, count=count) for kind, count in figures.types.items() if count],
        channels=[
            message.ChannelCount(channel=channel.value, count=count)
            for channel, count in figures.channels.items()
            if count
        ],
        success_rate=figures.success_rate,
        mean_delivery=figures.mean_delivery,
        p95_delivery=figures.p95_delivery,
        opened=figures.opened,
        open_rate=figures.open_rate,
    )
