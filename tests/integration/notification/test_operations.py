"""What every process knows of its handlers, asked for by a call."""

import pytest

from services.chassis.errors import PermissionDenied
from services.chassis.grpc.client import connect
from services.chassis.nats import NatsConnection
from services.chassis.nats.handler_reports import answering
from tests.integration.notification.test_requests import FIRE, ask, refusals, settled
from tests.support.notification import Service
from tocsin.notification.v1 import operations_service_pb2 as pb


async def test_handlers_of_all_processes_are_added_up(service: Service, nats_connection: NatsConnection) -> None:
    async def handlers(**wanted: str) -> dict[str, pb.GetHandlerStatisticsResponse.Handler]:
        answer = await service.operations.GetHandlerStatistics(pb.GetHandlerStatisticsRequest(**wanted))
        return {one.handler: one for one in answer.handlers}

    before = (await handlers())["notification/requests_test"]
    await ask(nats_connection, "send", FIRE, "good")
    await ask(nats_connection, "send", {**FIRE, "title": ""}, "bad")
    await settled(nats_connection)
    await refusals(nats_connection, 1)
    after = (await handlers())["notification/requests_test"]
    assert (after.processed - before.processed, after.failed - before.failed) == (1, 1)
    assert after.last_error.startswith("Permanent: INVALID_FIELD: title")
    assert after.last_error_time.ToDatetime() >= after.since.ToDatetime()
    assert after.p95_time.ToTimedelta() >= after.mean_time.ToTimedelta() * 0
    assert after.processes == 1
    # Another process of another service; here it has the handlers of this one, so that all count twice.
    async with answering(nats_connection, "ingestion"):
        answer = await service.operations.GetHandlerStatistics(pb.GetHandlerStatisticsRequest())
        assert [one.partition("@")[0] for one in answer.processes] == ["ingestion", "notification"]
        both = {one.handler: one for one in answer.handlers}["notification/requests_test"]
        assert (both.processed, both.processes) == (2 * after.processed, 2)
    assert all(name.startswith("notification/") for name in await handlers(service="notification"))
    assert await handlers(service="nobody") == {}


async def test_it_has_a_scope_of_its_own(service: Service) -> None:
    token = service.issuer.mint(["notifications:read"])
    async with connect(f"127.0.0.1:{service.app.server.port}", token=lambda: token) as channel:
        service.use(channel)
        with pytest.raises(PermissionDenied):
            await service.operations.GetHandlerStatistics(pb.GetHandlerStatisticsRequest())
    service.use(service.channel)
