"""Keeps this replica's share of the partitions: takes, renews and gives back leases, and runs a worker for each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.aggregation.application import metrics
from services.aggregation.application.partition.lease_store import Lease, LeaseStore
from services.aggregation.application.partition.worker import PartitionWorker
from services.aggregation.domain.partition.fair_share import fair_share
from services.chassis.errors import DomainError
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class LeaseKeeperOptions:
    """`beat`: distance of the signs of life; leases last for several of them."""

    partitions: int = 8
    beat: timedelta = timedelta(seconds=1)


class LeaseKeeper:
    """Runs until it is told to stop; then everything is given back at once."""

    def __init__(
        self,
        store: LeaseStore,
        owner: str,
        make_worker: Callable[[Lease], PartitionWorker],
        options: LeaseKeeperOptions,
    ) -> None:
        self._store = store
        self._owner = owner
        self._make_worker = make_worker
        self._options = options
        self._workers: dict[int, tuple[PartitionWorker, asyncio.Task[None]]] = {}

    @property
    def owned(self) -> frozenset[int]:
        """Partitions that this replica works on."""
        return frozenset(self._workers)

    def wake(self, partition: int | None) -> None:
        """Something lies in the mailbox of the partition (None: of any)."""
        for number, (worker, _) in self._workers.items():
            if partition is None or number == partition:
                worker.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Ends with an exception only by a defect of a worker."""
        stopping = asyncio.create_task(stop.wait(), name="stopping")
        try:
            while not stop.is_set():
                try:
                    await self._round()
                except DomainError as error:
                    log.warning("aggregation.leases_unreachable", error=repr(error))
                await asyncio.wait(
                    {stopping, *(task for _, task in self._workers.values())},
                    timeout=self._options.beat.total_seconds(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            await cancel(stopping)
            await self._give_back(list(self._workers))
            try:
                await self._store.leave(self._owner)
            except DomainError as error:
                log.warning("aggregation.leave_failed", error=repr(error))

    async def _round(self) -> None:
        for partition, (_, task) in list(self._workers.items()):
            if task.done():
                del self._workers[partition]
                task.result()
        standing = await self._store.beat(self._owner, [worker.lease for worker, _ in self._workers.values()])
        held = {lease.partition for lease in standing.held}
        lost = [partition for partition in self._workers if partition not in held]
        await self._end(lost)
        share = fair_share(
            partitions=self._options.partitions, replicas=standing.replicas, held=len(held), free=standing.free
        )
        if share.give:
            await self._give_back(sorted(held)[-share.give :])
        if share.take:
            for lease in await self._store.acquire(self._owner, share.take):
                worker = self._make_worker(lease)
                task = asyncio.create_task(worker.run(), name=f"partition {lease.partition}")
                self._workers[lease.partition] = (worker, task)
        metrics.PARTITIONS.set(len(self._workers))
        metrics.SERIES.set(sum(worker.series for worker, _ in self._workers.values()))

    async def _end(self, partitions: list[int]) -> list[Lease]:
        """Stops workers and waits for them; returns their leases."""
        ended = [self._workers.pop(partition) for partition in partitions]
        for worker, _ in ended:
            worker.stop()
        for _, task in ended:
            await task
        return [worker.lease for worker, _ in ended]

    async def _give_back(self, partitions: list[int]) -> None:
        leases = await self._end(partitions)
        if not leases:
            return
        try:
            await self._store.release(leases)
        except DomainError as error:
            log.warning("aggregation.release_failed", error=repr(error))
        log.info("aggregation.partitions_released", partitions=[lease.partition for lease in leases])
