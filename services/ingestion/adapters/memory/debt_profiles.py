"""Profiles of debt files in memory (the port `ProfileStore`)."""

from datetime import UTC, datetime

from services.ingestion.domain.debts.dialect import Declared, Profile
from services.ingestion.domain.debts.errors import ProfileExists
from services.ingestion.domain.errors import ResourceNotFound


class MemoryDebtProfiles:
    """For tests and experiments."""

    def __init__(self) -> None:
        self._profiles: dict[str, Profile] = {}

    async def create(self, profile_id: str, declared: Declared) -> Profile:
        made = self._profiles.setdefault(profile_id, Profile(profile_id, declared, datetime.now(UTC)))
        if made.declared != declared:
            raise ProfileExists(profile_id)
        return made

    async def get(self, profile_id: str) -> Profile:
        if profile_id not in self._profiles:
            raise ResourceNotFound("debt file profile", profile_id)
        return self._profiles[profile_id]

    async def after(self, profile_id: str, limit: int) -> list[Profile]:
        return [self._profiles[name] for name in sorted(self._profiles) if name > profile_id][:limit]

    async def delete(self, profile_id: str) -> None:
        await self.get(profile_id)
        del self._profiles[profile_id]
