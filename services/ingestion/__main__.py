"""`python -m services.ingestion`."""

from services.chassis.app import run
from services.ingestion.bootstrap import SERVICE, bootstrap
from services.ingestion.settings import IngestionSettings

if __name__ == "__main__":
    run(SERVICE, IngestionSettings, bootstrap)
