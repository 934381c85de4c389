"""Pooled sessions are given back without a reset (ADR 0013): what outlives a transaction is not for
them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_KEPT = re.compile(
    r"""\b(?:
        (?-i:(?:UN)?LISTEN)\s+[a-z"{$] | PREPARE\s+\w+\s+AS\b | WITH\s+HOLD\b
        | pg_(?:try_)?advisory_lock(?:_shared)?\s*\(
        | set_config\([^)]*,\s*false\s*\)
    )|^\s*SET\s+(?!LOCAL\b)(?:SESSION\s+)?\w+\s*(?:=|\bTO\b)|;\s*SET\s+(?!LOCAL\b)""",
    re.VERBOSE | re.IGNORECASE,
)
_SCRATCH = re.compile(
    r"\bCREATE\s+TEMP(?:ORARY)?\s+(?:TABLE|VIEW|SEQUENCE)\s+(IF NOT EXISTS\s+)?(\w+)([^;]*)", re.IGNORECASE
)
_OWN = re.compile(r"\b(?:asyncpg\.connect|open_session)\(")


def texts(source: str) -> Iterator[str]:
    """The string literals of a module that are not docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""  # a docstring says what it likes
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Attribute) and node.attr == "add_listener":
            yield "LISTEN channel"


def offences(source: str) -> list[str]:
    """What would be kept, in a module that borrows its connections."""
    if _OWN.search(source):
        return []
    found = [match[0] for text in texts(source) for match in _KEPT.finditer(text)]
    for text in texts(source):
        for again, name, rest in _SCRATCH.findall(text):
            # One that stays is made once, and every commit empties it; any other must be dropped.
            stays = again and "ON COMMIT DELETE ROWS" in rest
            if not (stays or "ON COMMIT DROP" in rest or f"DROP TABLE IF EXISTS pg_temp.{name}" in source):
                found.append(f"temporary {name}")
    return found


@pytest.mark.parametrize(
    "sql",
    [
        "SET work_mem = '64MB'",
        "SET SESSION synchronous_commit TO off",
        "SELECT 1; SET jit = off",
        "SELECT set_config('search_path', $1, false)",
        "LISTEN news",
        "SELECT pg_advisory_lock(7)",
        "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
        "CREATE TEMP TABLE t (id int) ON COMMIT DELETE ROWS",
        "CREATE TEMPORARY TABLE IF NOT EXISTS t (id int)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE ask AS SELECT 1",
    ],
)
def test_what_a_session_would_keep_is_found(sql: str) -> None:
    assert offences(f"await connection.execute({sql!r})")
    assert not offences(f"connection = await asyncpg.connect(dsn)\nawait connection.execute({sql!r})")


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL synchronous_commit = off",
        "SELECT pg_advisory_xact_lock(7)",
        "UPDATE rooms\n    SET attributes = $3 WHERE id = $1",
        "INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 2",
        "SELECT pg_notify('news', '')",
        "CREATE TEMP TABLE IF NOT EXISTS t (id int) ON COMMIT DELETE ROWS",
        "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1",
        "CREATE TEMP TABLE t (id int); DROP TABLE IF EXISTS pg_temp.t",
    ],
)
def test_what_ends_with_its_transaction_is_not(sql: str) -> None:
    assert not offences(f"await connection.execute({sql!r})")


def test_a_listener_needs_a_connection_of_its_own() -> None:
    assert offences("await connection.add_listener(CHANNEL, tell)")


def test_no_service_leaves_anything_on_a_pooled_session(repository: Path) -> None:
    modules = [path for path in (repository / "services").rglob("*.py") if "cli" not in path.parts]
    assert len(modules) > 100
    found = {str(path.relative_to(repository)): offences(path.read_text()) for path in modules}
    assert {path: what for path, what in found.items() if what} == {}
