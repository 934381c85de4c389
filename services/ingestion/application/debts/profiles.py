"""Profiles: how the files of one sender are to be read, under a name."""

from collections.abc import Callable
from datetime import date

from services.chassis.paging import Page, PageTokens, fetch_page
from services.ingestion.application.debts.ports import ProfileStore
from services.ingestion.domain.debts.conventions import Signs
from services.ingestion.domain.debts.dialect import Declared, Dialect, Profile, dialect_of


class DebtProfiles:
    """The use cases."""

    def __init__(self, store: ProfileStore, signs_of: Callable[[str], Signs]) -> None:
        """`signs_of`: how a locale writes; raises ConventionsInvalid."""
        self._store, self._signs_of = store, signs_of

    async def create(self, profile_id: str, declared: Declared) -> Profile:
        """Raises ConventionsInvalid, and ResourceExists when it exists with other content."""
        dialect_of(declared, self._signs_of(declared.locale), currency="", due_from=date.min, due_to=date.max)
        return await self._store.create(profile_id, declared)

    async def dialect(
        self, profile_id: str, declared: Declared, *, currency: str, due_from: date, due_to: date
    ) -> Dialect:
        """How a file is read of which this is declared, over what a profile says (empty: none); the rest as in
        `dialect_of`. Raises ConventionsInvalid and ResourceNotFound."""
        if profile_id:
            declared = declared.over((await self._store.get(profile_id)).declared)
        signs = self._signs_of(declared.locale)
        return dialect_of(declared, signs, currency=currency, due_from=due_from, due_to=due_to)

    async def get(self, profile_id: str) -> Profile:
        """Raises ResourceNotFound."""
        return await self._store.get(profile_id)

    async def list(self, size: int, token: str) -> Page[Profile]:
        """By id."""
        tokens = PageTokens("debt_profiles")
        position = tokens.read(token, (str,))
        after = str(position[0]) if position else ""
        return await fetch_page(tokens, size, lambda limit: self._store.after(after, limit), lambda found: (found.id,))

    async def delete(self, profile_id: str) -> None:
        """Files that were read by it stay as they are. Raises ResourceNotFound."""
        await self._store.delete(profile_id)
