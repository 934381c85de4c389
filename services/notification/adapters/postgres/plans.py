"""Channel plans of users' own, each tenant's in its own schema."""

from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.ports.channel_plans import OwnPlan
from services.notification.domain.channel_plan import Plan, dump_plan, load_plan
from services.notification.domain.errors import check_version
from services.notification.domain.notification import Type

_GET = "SELECT plan, version FROM TENANT.channel_plans WHERE recipient = $1 AND type = $2"
_SET = """
    INSERT INTO TENANT.channel_plans AS p (recipient, type, plan, updated_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (recipient, type) DO UPDATE SET
        plan = excluded.plan, updated_at = excluded.updated_at, version = p.version + 1
    RETURNING version
"""
_DELETE = "DELETE FROM TENANT.channel_plans WHERE recipient = $1 AND type = $2"


class PostgresPlans:
    """PlanStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, tenant: str, user: str, type_: Type) -> OwnPlan | None:
        """See PlanStore."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(in_tenant(_GET, tenant), user, type_)
        return None if row is None else OwnPlan(load_plan(row["plan"]), row["version"])

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan, *, expected: int = 0) -> int:
        """See PlanStore."""
        async with self._database.transaction() as connection:
            check_version(user, expected, await _version(connection, tenant, user, type_) or 0)
            now = await self._clock.now(connection)
            return await connection.fetchval(in_tenant(_SET, tenant), user, type_, dump_plan(plan), now)

    async def delete(self, tenant: str, user: str, type_: Type, *, expected: int = 0) -> bool:
        """See PlanStore."""
        async with self._database.transaction() as connection:
            if (version := await _version(connection, tenant, user, type_)) is None:
                return False
            check_version(user, expected, version)
            await connection.execute(in_tenant(_DELETE, tenant), user, type_)
        return True


async def _version(connection: Connection, tenant: str, user: str, type_: Type) -> int | None:
    """Of the plan, which nobody else changes now; None where there is none."""
    return await connection.fetchval(in_tenant(f"{_GET} FOR UPDATE", tenant), user, type_, column=1)
