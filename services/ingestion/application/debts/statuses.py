"""What has become of debts."""

from collections.abc import Sequence

from services.chassis.auth import principal
from services.ingestion.application.debts.ports import DebtStatusStore
from services.ingestion.domain.debts.debt_file import Debt
from services.ingestion.domain.debts.debt_status import DebtStatus, Decision, StatusChange


class DebtStatuses:
    """The use cases."""

    def __init__(self, store: DebtStatusStore) -> None:
        self._store = store

    async def decide(self, debt_id: str, status: DebtStatus, note: str, expected_version: int) -> Debt:
        """The debt, of which the caller has said so. Raises ResourceNotFound, VersionConflict and
        DebtStatusRefused."""
        by = principal.current().subject
        return await self._store.decide(
            Decision(debt=debt_id, status=status, by=by, note=note, expected_version=expected_version)
        )

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        """Oldest first, from the registration on. Raises ResourceNotFound."""
        return await self._store.history(debt_id)
