"""The port of partition leases: who owns which partition, and for how long."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Lease(NamedTuple):
    """The right to work on a partition. Whoever holds a lower `epoch` than the store cannot commit."""

    partition: int
    owner: str
    epoch: int


class LeaseLost(Exception):
    """Another replica owns the partition now: nothing was committed."""


class LeaseStore(Protocol):
    """Who owns which partition. Times are those of the store's clock."""

    async def beat(self, owner: str, held: Sequence[Lease]) -> "Standing":
        """Says that the owner lives and renews its leases; tells which it still holds, and how things stand."""
        ...

    async def acquire(self, owner: str, limit: int) -> Sequence[Lease]:
        """Takes up to `limit` partitions that nobody holds."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Gives partitions back at once."""
        ...

    async def leave(self, owner: str) -> None:
        """The owner is gone."""
        ...


class Standing(NamedTuple):
    """`held`: leases that are still ours; `replicas`: living ones; `free`: partitions that nobody holds."""

    held: Sequence[Lease]
    replicas: int
    free: int
