"""Channel plans of users' own, each tenant's in its own schema."""

from services.chassis.postgres import Database
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import Plan, dump_plan
from services.notification.domain.notification import Type

_SET = """
    INSERT INTO TENANT.channel_plans (recipient, type, plan, updated_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (recipient, type) DO UPDATE SET plan = excluded.plan, updated_at = excluded.updated_at
"""
_DELETE = "DELETE FROM TENANT.channel_plans WHERE recipient = $1 AND type = $2"


class PostgresPlans:
    """PlanStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan) -> None:
        """See PlanStore."""
        async with self._database.connection() as connection:
            now = await self._clock.now(connection)
            await connection.execute(in_tenant(_SET, tenant), user, type_, dump_plan(plan), now)

    async def delete(self, tenant: str, user: str, type_: Type) -> bool:
        """See PlanStore."""
        async with self._database.connection() as connection:
            return await connection.execute(in_tenant(_DELETE, tenant), user, type_) == "DELETE 1"
