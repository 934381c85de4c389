"""Who makes the call at hand. Standard library and chassis errors only, so that use cases may ask."""

from contextvars import ContextVar
from dataclasses import dataclass

from services.chassis.errors import PermissionDenied, Unauthenticated

EVERYTHING = "*"
"""As a scope: every scope. As a tenant: every tenant."""


class TenantDenied(PermissionDenied):
    """The token does not name this tenant."""

    reason = "TENANT_DENIED"


class ScopeMissing(PermissionDenied):
    """The token lacks the scope that the method needs."""

    reason = "SCOPE_MISSING"


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller: the token's subject, its scopes (`readings:write`, or `*`) and the tenants it may touch."""

    subject: str
    scopes: frozenset[str]
    tenants: frozenset[str]

    def has_any(self, scopes: frozenset[str]) -> bool:
        """Whether the caller holds at least one of `scopes`."""
        return EVERYTHING in self.scopes or not self.scopes.isdisjoint(scopes)

    def may_touch(self, tenant: str) -> bool:
        """Whether the caller may read and write rows of `tenant`."""
        return tenant in self.tenants or EVERYTHING in self.tenants

    def require_tenant(self, tenant: str) -> None:
        """Raises TenantDenied unless the caller may touch `tenant`."""
        if not self.may_touch(tenant):
            raise TenantDenied(metadata={"tenant": tenant})


_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current() -> Principal:
    """The caller of the call at hand. Raises Unauthenticated in a public method or outside of a call."""
    if (principal := _principal.get()) is None:
        raise Unauthenticated
    return principal


def enter(principal: Principal | None) -> None:
    """Makes `principal` the caller for the rest of this task; for the auth stage and tests."""
    _principal.set(principal)
