"""Channel plans of users."""

from dataclasses import dataclass
from typing import Protocol

from services.notification.domain.channel_plan import Plan
from services.notification.domain.notification import Type


@dataclass(frozen=True, slots=True)
class OwnPlan:
    """A plan of a user's own."""

    plan: Plan
    version: int


class PlanStore(Protocol):
    """Channel plans of users' own. Where another version stands than the `expected` one (0: any), VersionConflict is
    raised."""

    async def get(self, tenant: str, user: str, type_: Type) -> OwnPlan | None:
        """None where the tenant's counts."""
        ...

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan, *, expected: int = 0) -> int:
        """In place of the one before; its version."""
        ...

    async def delete(self, tenant: str, user: str, type_: Type, *, expected: int = 0) -> bool:
        """False when there was none."""
        ...
