"""The tenants of a deployment, as their setting names them: each has notifications and a publisher of its own."""

from typing import Final

from services.chassis.ids import is_id

DEFAULT_TENANTS: Final = "diabetes,wellness,maternity,test"
MAX_TENANT: Final = 50
"""Characters of a tenant's name: it is part of a schema's name, which PostgreSQL cuts at 63 bytes."""

REQUESTS_OF: Final = "NOTIFICATION_REQUESTS_"
"""What the stream of a tenant's publisher begins with; the tenant follows."""


def tenant_names(setting: str) -> tuple[str, ...]:
    """The tenants, in the order given."""
    return tuple(name.strip() for name in setting.split(",") if name.strip())


def tenants_problem(names: tuple[str, ...]) -> str | None:
    """What is wrong with them, as the end of a sentence that begins with the setting's name."""
    if not names:
        return "must name at least one tenant"
    if len(set(names)) != len(names):
        return "names a tenant twice"
    bad = next((name for name in names if not is_id(name) or len(name) > MAX_TENANT), None)
    return None if bad is None else f"has {bad!r}, which is no id of at most {MAX_TENANT} characters"
