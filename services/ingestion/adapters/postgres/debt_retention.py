"""What goes of debt files after its time (the port `DebtRetentionStore`)."""

from datetime import datetime

from services.chassis.postgres import Database

_ENDED = "state NOT IN ('RECEIVING', 'PROCESSING', 'ROLLING_BACK')"


class PostgresDebtRetention:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_rejects(self, before: datetime, limit: int) -> int | None:
        """See the port. Rejects refer to their file without a foreign key, so they are removed by file."""
        async with self._database.transaction() as connection:
            file_id = await connection.fetchval(
                f"""
                SELECT id FROM debt_files WHERE NOT rejects_removed AND complete_time < $1 AND {_ENDED}
                ORDER BY complete_time LIMIT 1 FOR UPDATE SKIP LOCKED
                """,
                before,
            )
            if file_id is None:
                return None
            removed = await connection.fetchval(
                """
                WITH gone AS (
                    DELETE FROM debt_rejects
                    WHERE debt_file = $1 AND line IN (
                        SELECT line FROM debt_rejects WHERE debt_file = $1 ORDER BY line LIMIT $2
                    )
                    RETURNING 1
                )
                SELECT count(*) FROM gone
                """,
                file_id,
                limit,
            )
            if removed < limit:
                await connection.execute("UPDATE debt_files SET rejects_removed = true WHERE id = $1", file_id)
        return removed

    async def remove_files(self, before: datetime, limit: int) -> int:
        """See the port."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                f"""
                WITH gone AS (
                    DELETE FROM debt_files WHERE id IN (
                        SELECT id FROM debt_files WHERE rejects_removed AND complete_time < $1 AND {_ENDED}
                        ORDER BY complete_time LIMIT $2 FOR UPDATE SKIP LOCKED
                    )
                    RETURNING 1
                )
                SELECT count(*) FROM gone
                """,
                before,
                limit,
            )
