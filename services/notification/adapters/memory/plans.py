"""`PlanStore` in memory: the same promises as the one on PostgreSQL."""

from services.notification.adapters.memory.state import State
from services.notification.domain.channel_plan import Plan
from services.notification.domain.notification import Type


class InMemoryPlans:
    """Plans in `state`, by user and type."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan) -> None:
        """See PlanStore."""
        self._state.own_plans.setdefault((tenant, user), {})[type_] = plan

    async def delete(self, tenant: str, user: str, type_: Type) -> bool:
        """See PlanStore."""
        return self._state.own_plans.get((tenant, user), {}).pop(type_, None) is not None
