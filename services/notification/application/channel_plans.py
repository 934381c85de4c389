"""Plans of users: which channels are tried, in which order."""

from dataclasses import dataclass

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.channel_plans import PlanStore
from services.notification.application.tenants import Tenants
from services.notification.domain.channel_plan import Plan, Plans, check_plan, dump_plan
from services.notification.domain.errors import PlanNotFound
from services.notification.domain.notification import Type

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """The plan that counts, whether it is the user's own, and the version of that."""

    plan: Plan
    own: bool
    version: int = 0


class ChannelPlans:
    """Handles plans of users' own."""

    def __init__(self, tenants: Tenants, store: PlanStore, plans: Plans) -> None:
        self._tenants = tenants
        self._store = store
        self._plans = plans

    async def get(self, tenant: str, user: str, type_: Type) -> InForce:
        """Raises TenantForbidden and TenantUnknown, as the others."""
        self._tenants.require(tenant)
        own = await self._store.get(tenant, user, type_)
        return (
            InForce(self._plans.of_tenant(tenant), own=False) if own is None else InForce(own.plan, True, own.version)
        )

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan, *, expected: int = 0) -> InForce:
        """In place of the one before. Raises InvalidArgument for a plan that is none, and VersionConflict."""
        self._tenants.require(tenant)
        try:
            check_plan(plan)
        except ValueError as error:
            raise InvalidArgument(
                violations=[FieldViolation("steps", str(error), "PLAN")], reason="INVALID_FIELD"
            ) from error
        version = await self._store.set(tenant, user, type_, plan, expected=expected)
        log.info("channel_plan.set", tenant=tenant, user=user, type=type_.value, plan=dump_plan(plan))
        return InForce(plan, True, version)

    async def delete(self, tenant: str, user: str, type_: Type, *, expected: int = 0) -> None:
        """Raises PlanNotFound and VersionConflict."""
        self._tenants.require(tenant)
        if not await self._store.delete(tenant, user, type_, expected=expected):
            raise PlanNotFound(metadata={"id": user})
        log.info("channel_plan.deleted", tenant=tenant, user=user, type=type_.value)
