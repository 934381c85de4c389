"""Remembers what schemas and streams were last prepared for, so that a warm start need not wait for the check.

The steps run at every start all the same; what this saves is services waiting for them. Whatever the schemas and
streams are made from is part of the digest, so any change leads to the careful order.
"""

import hashlib
from pathlib import Path

from services.cli.runtime.settings import PROJECT, RuntimeSettings
from services.cli.runtime.state import StateDir

_SOURCES = (
    "services/chassis/migrations",
    "services/chassis/mesh_names.py",
    "services/chassis/nats/topology.py",
    "services/cli/runtime/database.py",
    "services/cli/runtime/database_roles.py",
    "services/*/migrations",
)


def is_prepared(state: StateDir, settings: RuntimeSettings) -> bool:
    """Whether the last successful start prepared just this, on servers whose data are in the state directory."""
    embedded = not settings.postgres_dsn and not settings.nats_url and settings.only is None
    return embedded and state.read_derived(_file(state)).get("digest") == _digest(settings)


def mark_prepared(state: StateDir, settings: RuntimeSettings) -> None:
    """All steps are done."""
    state.write_json(_file(state), {"digest": _digest(settings)})


def _file(state: StateDir) -> Path:
    return state.root / "prepared.json"


def _digest(settings: RuntimeSettings) -> str:
    sizes = sorted(settings.stream_bytes.items())
    chosen = (settings.names.prefix, settings.replicas, settings.partitions, sizes, settings.tenants)
    digest = hashlib.sha256(repr(chosen).encode())
    for pattern in _SOURCES:
        for found in sorted(PROJECT.glob(pattern)):
            for path in sorted(found.rglob("*.sql")) if found.is_dir() else (found,):
                digest.update(f"{path.relative_to(PROJECT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
