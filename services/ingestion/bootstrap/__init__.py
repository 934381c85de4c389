"""Puts ingestion together: the only place where its parts meet, a module for each area."""

from services.chassis.app import App
from services.ingestion.bootstrap.alerts import wire_alerts
from services.ingestion.bootstrap.base import SERVICE as SERVICE
from services.ingestion.bootstrap.base import wire_base
from services.ingestion.bootstrap.debts import wire_debt_retention, wire_debts
from services.ingestion.bootstrap.readings import (
    wire_catalogue,
    wire_group_commit,
    wire_payloads,
    wire_readings,
)
from services.ingestion.bootstrap.upkeep import wire_upkeep
from services.ingestion.settings import IngestionSettings


async def bootstrap(app: App, settings: IngestionSettings) -> None:
    """Opens the stores and fills the server; the server starts when this returns."""
    base = await wire_base(app, settings)
    wire_catalogue(base)
    group_commit = wire_group_commit(base)
    keys = wire_readings(base, group_commit)
    wire_payloads(base, group_commit)
    wire_alerts(base)
    await wire_debts(base)
    wire_debt_retention(base)
    wire_upkeep(base, keys)
