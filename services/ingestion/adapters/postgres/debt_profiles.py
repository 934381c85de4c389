"""Profiles of debt files in PostgreSQL (the port `ProfileStore`)."""

import json
from dataclasses import asdict

import asyncpg

from services.chassis.postgres import Database
from services.ingestion.domain.debts.dialect import Declared, Profile
from services.ingestion.domain.debts.errors import ProfileExists
from services.ingestion.domain.errors import ResourceNotFound


class PostgresDebtProfiles:
    """What is declared is kept as JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, profile_id: str, declared: Declared) -> Profile:
        """Raises ProfileExists when it exists with other content."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO debt_profiles (id, declared) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                profile_id,
                json.dumps(asdict(declared)),
            )
        made = await self.get(profile_id)
        if made.declared != declared:
            raise ProfileExists(profile_id)
        return made

    async def get(self, profile_id: str) -> Profile:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM debt_profiles WHERE id = $1", profile_id)
        if row is None:
            raise ResourceNotFound("debt file profile", profile_id)
        return _profile(row)

    async def after(self, profile_id: str, limit: int) -> list[Profile]:
        """By id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                'SELECT * FROM debt_profiles WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2',
                profile_id,
                limit,
            )
        return [_profile(row) for row in rows]

    async def delete(self, profile_id: str) -> None:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            found = await connection.fetchval("DELETE FROM debt_profiles WHERE id = $1 RETURNING true", profile_id)
        if not found:
            raise ResourceNotFound("debt file profile", profile_id)


def _profile(row: asyncpg.Record) -> Profile:
    return Profile(row["id"], Declared(**json.loads(row["declared"])), row["create_time"])
