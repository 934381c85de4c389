"""The scopes that the contract knows."""

import importlib
from pathlib import Path


def known_scopes() -> list[str]:
    """Every scope that some method of the contract takes, sorted."""
    import tocsin
    from services.chassis.auth.rules import rule_of

    found: set[str] = set()
    for root in map(Path, tocsin.__path__):
        for file in root.rglob("*_service_pb2.py"):
            module = ".".join(("tocsin", *file.relative_to(root).with_suffix("").parts))
            for service in importlib.import_module(module).DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    found |= rule_of(service.full_name, method).scopes
    return sorted(found)
