"""`PlanStore` in memory: the same promises as the one on PostgreSQL."""

from services.notification.adapters.memory.state import State
from services.notification.application.ports.channel_plans import OwnPlan
from services.notification.domain.channel_plan import Plan
from services.notification.domain.errors import check_version
from services.notification.domain.notification import Type


class InMemoryPlans:
    """Plans in `state`, by user and type."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._versions: dict[tuple[str, str, Type], int] = {}

    async def get(self, tenant: str, user: str, type_: Type) -> OwnPlan | None:
        """See PlanStore."""
        plan = self._state.own_plans.get((tenant, user), {}).get(type_)
        return None if plan is None else OwnPlan(plan, self._versions[tenant, user, type_])

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan, *, expected: int = 0) -> int:
        """See PlanStore."""
        version = self._versions.get((tenant, user, type_), 0)
        check_version(user, expected, version)
        self._state.own_plans.setdefault((tenant, user), {})[type_] = plan
        self._versions[tenant, user, type_] = version + 1
        return version + 1

    async def delete(self, tenant: str, user: str, type_: Type, *, expected: int = 0) -> bool:
        """See PlanStore."""
        version = self._versions.get((tenant, user, type_))
        if version is None:
            return False
        check_version(user, expected, version)
        del self._versions[tenant, user, type_], self._state.own_plans[tenant, user][type_]
        return True
