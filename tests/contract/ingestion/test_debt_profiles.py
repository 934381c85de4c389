"""The port `ProfileStore` in memory and in PostgreSQL."""

import pytest

from services.ingestion.adapters.memory.debt_profiles import MemoryDebtProfiles
from services.ingestion.adapters.postgres.debt_profiles import PostgresDebtProfiles
from services.ingestion.application.debts.ports import ProfileStore
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound

BRAZIL = Declared({"Cliente": "name"}, other_columns=True, charset="windows-1252", locale="pt-BR", currency="BRL")


@pytest.fixture
def store(where: str, request: pytest.FixtureRequest) -> ProfileStore:
    if where == "memory":
        return MemoryDebtProfiles()
    return PostgresDebtProfiles(request.getfixturevalue("database"))


async def test_a_profile_is_kept_under_its_name(store: ProfileStore) -> None:
    made = await store.create("brazil", BRAZIL)
    assert (made.id, made.declared) == ("brazil", BRAZIL)
    assert await store.get("brazil") == made == await store.create("brazil", BRAZIL)
    with pytest.raises(ResourceExists, match="with other content: remove it first, or take another id"):
        await store.create("brazil", Declared(locale="pt-BR"))
    assert await store.get("brazil") == made


async def test_profiles_are_listed_by_name(store: ProfileStore) -> None:
    for name in ("b", "a", "C"):
        await store.create(name, Declared(language=name.lower() * 2))
    assert [profile.id for profile in await store.after("", 10)] == ["C", "a", "b"]
    assert [profile.id for profile in await store.after("C", 1)] == ["a"]
    assert [profile.id for profile in await store.after("b", 10)] == []


async def test_a_profile_that_is_gone_is_not_found(store: ProfileStore) -> None:
    await store.create("a", BRAZIL)
    await store.delete("a")
    for call in (store.get("a"), store.delete("a")):
        with pytest.raises(ResourceNotFound):
            await call
