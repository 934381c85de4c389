"""What media-probe reports moves the state of alerts: many reports in one transaction, with their inbox marks."""

from collections.abc import Sequence

from services.chassis.nats import Delivery, Outcomes, Permanent
from services.chassis.nats.topology import VIDEO_FAILED_SUBJECT, VIDEO_PROBED_SUBJECT, VIDEO_STARTED_SUBJECT
from services.chassis.postgres import Database, first_time_many
from services.ingestion.adapters.postgres.alerts import move
from services.ingestion.domain.alert import AlertState, Report
from tocsin.events.v1 import videos_pb2

CONSUMER = "alert_states"
STATES_TOGETHER = 200
"""Reports of one transaction, at the most."""


class AlertStates:
    """The handler of the consumer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, deliveries: Sequence[Delivery]) -> Outcomes:
        """Permanent for what is no event of a video; the others have their effect together, each once."""
        outcomes: list[Exception | None] = [None] * len(deliveries)
        reports: list[tuple[str, Report]] = []
        for place, delivery in enumerate(deliveries):
            try:
                reports.append((delivery.id, _report(delivery)))
            except Permanent as error:
                outcomes[place] = error
        async with self._database.transaction() as connection:
            new = await first_time_many(connection, CONSUMER, [id_ for id_, _ in reports])
            await move(connection, [report for id_, report in reports if id_ in new])
        return outcomes


def _report(delivery: Delivery) -> Report:
    match delivery.subject:
        case subject if subject == VIDEO_STARTED_SUBJECT:
            started = delivery.decode(videos_pb2.VideoProbeStarted)
            return Report(started.uid, AlertState.PROBING, version=started.version)
        case subject if subject == VIDEO_PROBED_SUBJECT:
            probed = delivery.decode(videos_pb2.VideoProbed)
            return Report(probed.uid, AlertState.PROBED, version=probed.version)
        case subject if subject == VIDEO_FAILED_SUBJECT:
            failed = delivery.decode(videos_pb2.VideoProbeFailed)
            return Report(failed.uid, AlertState.FAILED, failed.failure, failed.version)
        case subject:
            raise Permanent(f"nobody handles {subject}")
