"""All checks of a deployment."""

from services.cli.doctor.check import Check
from services.cli.doctor.deployment import Deployment
from services.cli.doctor.edge_checks import edge_checks
from services.cli.doctor.host_checks import host_checks
from services.cli.doctor.nats_checks import nats_checks
from services.cli.doctor.postgres_checks import postgres_checks
from services.cli.doctor.storage_checks import storage_checks


def all_checks(deployment: Deployment) -> list[Check]:
    """The checks in the order in which they are told. Of servers of the mesh's own that are down nothing is asked."""
    checks = host_checks(deployment)
    if not (deployment.own_postgres and deployment.absent):
        checks += postgres_checks(deployment)
    if not (deployment.own_nats and deployment.absent):
        checks += nats_checks(deployment)
    return [*checks, *storage_checks(deployment), *edge_checks(deployment)]
