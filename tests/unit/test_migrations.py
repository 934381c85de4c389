"""Old and new code run side by side during a rollout, and a rollback leaves the schema: so a migration only adds.

What the code of the version before does on its tables has to go on: what is taken away, renamed or demanded anew goes a
release after the last code that needs it as it was, in a migration that says so in a line `-- contract: ...`.
"""

import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
MIGRATIONS = sorted(SERVICES.glob("*/migrations/**/*.sql"))

# Made before deployments of several replicas were, and never part of a release that had a version before it.
BEFORE_THE_RULE = {
    "aggregation_0301_counters.sql",
    "notification_0002_deliveries_claimed_at_once.sql",
    "notification_0013_lanes.sql",
    "tenant_0004_partitions.sql",
}

_TAKES = (
    r"\bDROP (?:TABLE|VIEW|COLUMN|TYPE|SCHEMA|SEQUENCE|CONSTRAINT|FUNCTION)\b",
    r"\bRENAME\b",
    r"\bSET NOT NULL\b",
    r"\bALTER COLUMN \w+ (?:SET DATA )?TYPE\b",
    r"\bADD (?:CONSTRAINT|CHECK|UNIQUE|FOREIGN KEY)\b",
    r"\bTRUNCATE\b",
)


def taken(sql: str) -> list[str]:
    """What the part of a migration that is applied takes from code that does not know of it."""
    applied = sql.partition("-- migrate: apply")[2].partition("-- migrate: rollback")[0]
    if re.search(r"^-- contract: \S", applied, re.MULTILINE):
        return []
    plain = " ".join(line.partition("--")[0] for line in applied.splitlines())
    made = {name.lower() for name in re.findall(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", plain)}
    statements = [statement for statement in plain.split(";") if not _alters_one_of(made, statement)]
    found = [each for pattern in _TAKES for one in statements for each in re.findall(pattern, one, re.IGNORECASE)]
    return found + [column for one in statements for column in _demanded(one)]


def _demanded(statement: str) -> list[str]:
    """Columns that have to be given, by code that does not know them."""
    columns = re.split(r"\bADD COLUMN\b", statement)[1:]
    return [one for one in columns if "NOT NULL" in one and not re.search(r"\b(DEFAULT|GENERATED)\b", one)]


def _alters_one_of(tables: set[str], statement: str) -> bool:
    """Nobody knows the tables that the same migration makes."""
    altered = re.match(r"\s*ALTER TABLE (?:ONLY )?(\w+)", statement)
    return altered is not None and altered[1].lower() in tables


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_a_migration_only_adds(path: Path) -> None:
    found = taken(path.read_text())
    if path.name in BEFORE_THE_RULE:
        assert found, "it keeps the rule: take it off the list"
    else:
        assert found == [], f"{path.name} takes from code that runs beside it; see the top of this file"


@pytest.mark.parametrize(
    ("statement", "takes"),
    [
        ("ALTER TABLE series ADD COLUMN unit text, ADD COLUMN pace bigint NOT NULL DEFAULT 0;", False),
        ("ALTER TABLE series ADD COLUMN unit text NOT NULL;", True),
        ("ALTER TABLE series ADD COLUMN unit text NOT NULL, ADD COLUMN pace bigint NOT NULL DEFAULT 0;", True),
        ("ALTER TABLE series ADD COLUMN unit text DEFAULT '' NOT NULL;", False),
        ("ALTER TABLE series DROP COLUMN unit;", True),
        ("ALTER TABLE series RENAME COLUMN unit TO units;", True),
        ("ALTER TABLE series ALTER COLUMN unit SET NOT NULL;", True),
        ("ALTER TABLE series ALTER COLUMN unit TYPE bigint;", True),
        ("ALTER TABLE series ADD CONSTRAINT positive CHECK (pace > 0);", True),
        ("-- contract: no code since 0.3 reads it\nALTER TABLE series DROP COLUMN unit;", False),
        ("CREATE TABLE runs (id bigint); ALTER TABLE runs ADD CONSTRAINT one UNIQUE (id);", False),
        ("DROP INDEX series_building; CREATE INDEX series_building ON series (building); -- DROP TABLE series", False),
    ],
)
def test_what_a_migration_may_not_do_is_noticed(statement: str, takes: bool) -> None:
    sql = f"-- A migration.\n-- migrate: apply\n{statement}\n-- migrate: rollback\nDROP TABLE runs;\n"
    assert bool(taken(sql)) is takes
