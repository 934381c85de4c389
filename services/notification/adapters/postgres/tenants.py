"""Each tenant's schema: its name, its migrations, and how statements name it."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from services.chassis.postgres import migrate

TENANT_MIGRATIONS = Path(__file__).parents[2] / "migrations" / "tenant"
SCHEMA_PREFIX = "notification_"


def schema_of(tenant: str) -> str:
    """The schema of a tenant's notifications."""
    return SCHEMA_PREFIX + tenant


@cache
def in_tenant(statement: str, tenant: str) -> str:
    """The statement with `TENANT.` put in place; `tenant` must be a configured one, never free text."""
    return statement.replace("TENANT.", f'"{schema_of(tenant)}".')


async def migrate_tenants(dsn: str, tenants: Iterable[str]) -> dict[str, list[str]]:
    """Brings each tenant's schema up to date; what was applied by tenant.

    A schema that is missing is created, for which the role needs CREATE on the database; deployments with a bare role
    create the schemas beforehand, owned by it.
    """
    return {tenant: await migrate(dsn, schema_of(tenant), TENANT_MIGRATIONS, chassis=False) for tenant in tenants}
