"""What has become of debts."""

from collections.abc import Sequence

from services.ingestion.application.debts.ports import DebtStatusStore
from services.ingestion.domain.debts.debt_status import StatusChange


class DebtStatuses:
    """The use cases."""

    def __init__(self, store: DebtStatusStore) -> None:
        self._store = store

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        """Oldest first, from the registration on. Raises ResourceNotFound."""
        return await self._store.history(debt_id)
