"""The metrics of debt files."""

from services.chassis.telemetry.metrics import counter

FILES = counter("tocsin_ingestion_debt_files", "Debt files that reached a final state.", ["state"])
ROWS = counter("tocsin_ingestion_debt_rows", "Rows of debt files, by what became of them.", ["outcome"])
REMOVED = counter(
    "tocsin_ingestion_debt_retention_removed", "Rejected rows and debt files removed after their time.", ["kind"]
)
