"""At most ten a minute for each user, exactly, however many replicas work at it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from services.chassis.errors import ResourceExhausted
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.notification import ManualClock, Service, pb
from tests.support.receiver import Receiver

MINUTE = timedelta(minutes=1)


def most_in_a_minute(times: Sequence[datetime]) -> int:
    return max(sum(1 for other in times if at <= other < at + MINUTE) for at in times)


async def sent_times(service: Service, user: str = "ada") -> list[datetime]:
    rows = await service.rows(
        "SELECT sent_at FROM \"notification_test\".notifications WHERE recipient = $1 AND status = 'SENT' ORDER BY 1",
        user,
    )
    return [row["sent_at"] for row in rows]


async def quiet(service: Service) -> bool:
    """Nothing is under way, and nothing is due."""
    busy = await service.value(
        "SELECT count(*) FROM deliveries WHERE lease IS NOT NULL OR next_attempt_at <= $1", service.clock.time
    )
    return busy == 0


async def test_two_replicas_never_send_more_than_ten(open_service: OpenService) -> None:
    clock = ManualClock()
    async with open_service(clock) as one, open_service(clock) as two:
        refused: list[timedelta | None] = []

        async def waiting(service: Service) -> None:
            try:
                await service.send(wait=True)
            except ResourceExhausted as error:
                refused.append(error.retry_after)

        queued = [(one, two)[place % 2].send(title=f"n{place}") for place in range(37)]
        await asyncio.gather(*queued, *(waiting((one, two)[place % 2]) for place in range(20)))
        other = await one.send("bob", wait=True)
        assert other.status == pb.Notification.SENT
        assert all(after is not None and timedelta(0) <= after <= MINUTE for after in refused)
        total = 57 - len(refused)
        for _ in range(200):
            await eventually(lambda: quiet(one), what="quiet")
            times = await sent_times(one)
            if len(times) == total:
                break
            assert len(times) < total
            await one.advance(timedelta(seconds=7))
        times = await sent_times(one)
        assert len(times) == total, "nothing is dropped"
        assert most_in_a_minute(times) == 10
        # Nobody waits longer than the limit asks for: a full round each minute.
        assert times[-1] - times[0] <= MINUTE * (total // 10) + timedelta(seconds=14)
        assert await one.value("SELECT count(*) FROM deliveries") == 0


async def test_what_failed_does_not_count(open_service: OpenService, receiver: Receiver) -> None:
    async with open_service() as service:
        await service.register("WEBHOOK", f"{receiver.url}/hook")
        receiver.answers.extend([(500, {})] * 5)
        for _ in range(5):
            assert (await service.send(wait=True)).status == pb.Notification.PENDING
        for _ in range(10):
            assert (await service.send(wait=True)).status == pb.Notification.SENT
        with pytest.raises(ResourceExhausted):
            await service.send(wait=True)
        # The five retries wait for their turn; it comes when the ten have left the window.
        await service.advance(timedelta(seconds=2))
        await eventually(lambda: quiet(service))
        assert len(receiver.hooks) == 15
        await service.advance(timedelta(seconds=58))
        await eventually(lambda: quiet(service))
        assert len(receiver.hooks) == 20
        assert most_in_a_minute(await sent_times(service)) == 10


async def test_queued_work_keeps_its_order(open_service: OpenService, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_service(concurrency=1) as service:
        for place in range(25):
            await service.send(title=f"n{place:02d}")
        for _ in range(3):
            await eventually(lambda: quiet(service))
            await service.advance(MINUTE)
        await eventually(lambda: quiet(service))
        lines = [line for line in capsys.readouterr().out.splitlines() if "[ALERT] n" in line]
        assert [line[-3:] for line in lines] == [f"n{place:02d}" for place in range(25)]


async def test_the_limit_is_each_tenant_s_and_each_user_s(open_service: OpenService) -> None:
    async with open_service(rate_limit=1) as service:
        for user, tenant in (("ada", "test"), ("bob", "test"), ("ada", "wellness")):
            assert (await service.send(user, tenant=tenant, wait=True)).status == pb.Notification.SENT
        with pytest.raises(ResourceExhausted):
            await service.send("ada", wait=True)
