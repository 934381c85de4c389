"""At most ten a minute for each user, exactly, however many replicas work at it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.chassis.errors import ResourceExhausted
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.notification import ManualClock, Service, pb

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
