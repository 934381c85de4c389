"""Which tenants the deployment has, and whether the caller may touch them."""

from services.chassis.auth import principal
from services.chassis.errors import DomainError
from services.notification.domain.errors import TenantForbidden, TenantUnknown


class Tenants:
    """The tenants of the deployment."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def require(self, tenant: str) -> None:
        """Raises TenantForbidden when the caller's token does not name the tenant, TenantUnknown when there is none."""
        if (refusal := self.refusal(tenant)) is not None:
            raise refusal

    def require_known(self, tenant: str) -> None:
        """Raises TenantUnknown; for what no caller asks for."""
        if tenant not in self.names:
            raise TenantUnknown(tenant, self.names)

    def refusal(self, tenant: str) -> DomainError | None:
        """Why the caller may not touch the tenant; None if it may. A caller learns of no tenant that is not its own."""
        if not principal.current().may_touch(tenant):
            return TenantForbidden(tenant)
        if tenant not in self.names:
            return TenantUnknown(tenant, self.names)
        return None
