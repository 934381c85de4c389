"""OperationsService over gRPC."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from services.chassis.grpc.timestamps import timestamp
from services.chassis.handler_stage import HandlerReport
from tocsin.notification.v1 import operations_service_pb2 as pb
from tocsin.notification.v1 import operations_service_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[object, object]
AskAll = Callable[[], Awaitable[Mapping[str, Sequence[HandlerReport]]]]
_P95 = 0.95


class OperationsServicer(rpc.OperationsServiceServicer):
    """Asks all processes, and adds up."""

    def __init__(self, ask_all: AskAll) -> None:
        self._ask_all = ask_all

    async def GetHandlerStatistics(
        self, request: pb.GetHandlerStatisticsRequest, context: Context
    ) -> pb.GetHandlerStatisticsResponse:
        """See the contract."""
        answers = await self._ask_all()
        together: dict[str, HandlerReport] = {}
        processes: Counter[str] = Counter()
        for report in (one for reports in answers.values() for one in reports):
            if request.service in ("", report.handler.partition("/")[0]):
                known = together.get(report.handler)
                together[report.handler] = report if known is None else known.merged(report)
                processes[report.handler] += 1
        return pb.GetHandlerStatisticsResponse(
            handlers=[_handler(together[name], processes[name]) for name in sorted(together)],
            processes=sorted(answers),
        )


def _handler(report: HandlerReport, processes: int) -> pb.GetHandlerStatisticsResponse.Handler:
    return pb.GetHandlerStatisticsResponse.Handler(
        handler=report.handler,
        processed=report.processed,
        failed=report.failed,
        calls=report.calls,
        mean_time=_duration(report.mean),
        p95_time=_duration(report.percentile(_P95)),
        slowest_time=_duration(report.slowest),
        last_error=report.last_error,
        last_error_time=timestamp(report.last_error_at),
        since=timestamp(report.since),
        processes=processes,
    )


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message
