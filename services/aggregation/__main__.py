"""`python -m services.aggregation`."""

from services.aggregation.bootstrap import SERVICE, bootstrap
from services.aggregation.settings import AggregationSettings
from services.chassis.app import run

if __name__ == "__main__":
    run(SERVICE, AggregationSettings, bootstrap)
